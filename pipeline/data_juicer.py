"""Data-Juicer's operators that we have under another name, and those that we do not have, with the reason."""

# Its engines' names for what is one operator here; and the settings by which they steer those engines.
ALIASES = {
    "ray_document_deduplicator": "document_deduplicator",
    "ray_bts_minhash_deduplicator": "document_minhash_deduplicator",
    "ray_bts_minhash_cpp_deduplicator": "document_minhash_deduplicator",
    "ray_bts_minhash_deduplicator_with_uid": "document_minhash_deduplicator",
    "document_minhash_deduplicator_with_uid": "document_minhash_deduplicator",
}
ENGINE_SETTINGS = frozenset((
    "backend", "redis_address", "dedup_set_num", "union_find_parallel_num", "union_threshold", "max_pending_edge_buffer_task",
    "num_edge_buffer_task_returns", "max_pending_filter_tasks", "num_filter_task_returns", "merge_batch_size",
    "minhash_batch_size", "memory_per_sample", "actor_memory", "task_memory",
))

_PICTURES = "it works on images, audio or video: tamis works on text"
_MODEL = "it asks a language model or an API: tamis calls none; do that step apart, and go on with its output"
_ELSEWHERE = "it fetches or sends files: do that apart"
_AGENTS = "it rewrites records of agents: reshape them with python_file_mapper"
_NAMES: dict[str, str] = {
    _PICTURES: (
        "detect_character_attributes_mapper detect_character_locations_mapper detect_main_character_mapper "
        "export_to_lerobot_mapper phrase_grounding_recall_filter mllm_mapper vggt_mapper"
    ),
    _MODEL: (
        "agent_insight_llm_mapper agent_skill_insight_mapper agent_tool_relevance_mapper agent_trace_coherence_mapper "
        "calibrate_qa_mapper calibrate_query_mapper calibrate_response_mapper dialog_clarification_quality_mapper "
        "dialog_coreference_mapper dialog_error_recovery_mapper dialog_intent_detection_mapper dialog_memory_consistency_mapper "
        "dialog_non_repetition_mapper dialog_proactivity_mapper dialog_sentiment_detection_mapper "
        "dialog_sentiment_intensity_mapper dialog_topic_detection_mapper dialog_topic_shift_mapper entity_attribute_aggregator "
        "extract_entity_attribute_mapper extract_entity_relation_mapper extract_event_mapper extract_keyword_mapper "
        "extract_nickname_mapper extract_support_text_mapper generate_qa_from_examples_mapper generate_qa_from_text_mapper "
        "in_context_influence_filter llm_analysis_filter llm_condition_filter "
        "llm_difficulty_score_filter llm_extract_mapper llm_quality_score_filter "
        "llm_ray_vllm_engine_pipeline llm_task_relevance_filter meta_tags_aggregator most_relevant_entities_aggregator "
        "nested_aggregator optimize_prompt_mapper optimize_qa_mapper optimize_query_mapper optimize_response_mapper "
        "pair_preference_mapper pii_llm_suspect_mapper query_intent_detection_mapper query_sentiment_detection_mapper "
        "query_topic_detection_mapper relation_identity_mapper sentence_augmentation_mapper "
        "text_tagging_by_prompt_mapper vlm_ray_vllm_engine_pipeline"
    ),
    "its model of the language (spaCy's) is not part of tamis": "text_action_filter text_entity_dependency_filter",
    "it makes up text": "nlpaug_en_mapper nlpcda_zh_mapper",
    "it needs people in Label Studio": "human_preference_annotation_mapper",
    _ELSEWHERE: "download_file_mapper s3_download_file_mapper s3_upload_file_mapper latex_merge_tex_mapper",
    _AGENTS: (
        "agent_bad_case_signal_mapper agent_dialog_normalize_mapper agent_tool_type_mapper tool_success_tagger_mapper "
        "usage_counter_mapper latex_figure_context_extractor_mapper"
    ),
    "fusion needs no step of its own: tamis always does neighbouring steps in one pass": (
        "fused_sequential_batch_op general_fused_op ray_repartition_pipeline"
    ),
}
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
_PICTURE_BEGINNINGS = ("audio_", "image_", "video_", "imgdiff_", "sdxl_", "ray_image_", "ray_video_")
_KINDS = ("_filter", "_mapper", "_deduplicator", "_selector")


def refusal(name: str) -> str | None:
    """Why an operator of Data-Juicer is not here; None for a name that it does not have either."""
    if name.startswith(_PICTURE_BEGINNINGS) and name.endswith(_KINDS):
        return _PICTURES
    return _REASONS.get(name)


def known(name: str) -> bool:
    """Whether Data-Juicer has an operator of that name which is another one here, or none."""
    return name in ALIASES or refusal(name) is not None


# settings that are known, so that a recipe that carries them along with Data-Juicer's default runs; any other value is refused
ONLY_DEFAULT = frozenset((
    ("remove_words_with_incorrect_substrings_mapper", "tokenization"), ("remove_repeat_sentences_mapper", "tokenizer"),
))
