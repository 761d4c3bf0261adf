"""Selection by what a model makes of the data: the only home of torch besides embedding."""
