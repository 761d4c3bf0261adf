"""The persistent index of documents already kept: what tomorrow's crawl is deduplicated against (docs/incremental.md)."""
