"""The top-level keys of a recipe: ours, Data-Juicer's that mean nothing here, and those that are refused."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Tracer:
    """What `open_tracer` asks for: of which operators (none named: all), how many rows, which columns besides the text."""

    ops: tuple[str, ...] = ()
    number: int = 0
    keys: tuple[str, ...] = ()


# Top-level keys: name -> (annotation, default).
KEYS: dict[str, tuple[Any, Any]] = {
    "project_name": (str | None, None),
    "dataset_path": (str | list[str], ""),
    "export_path": (str, "./outputs"),
    "process": (list, []),
    "np": (int, 0),
    "text_keys": (str | list[str], "text"),
    "suffixes": (str | list[str], []),
    "only_files": (list[str], []),
    "seed": (int, 0),
    "engine": (Literal["local", "spark"], "local"),
    "on_error": (Any, "stop"),
    "compat": (Literal["data-juicer"] | None, None),
    "allow_code": (bool, False),
    "substitutes": (dict[str, str], {}),
    "guards": (Any, {}),
    "pool": (Any, None),
    "work_dir": (str | None, None),
    "export_type": (Literal["parquet", "jsonl", "json"] | None, None),
    "export_shard_size": (int, 0),
    "keep_stats_in_res_ds": (bool, False),
    "validators": (list, []),
    "custom_operator_paths": (str | list[str], []),
    "open_tracer": (bool, False),
    "op_list_to_trace": (list[str], []),
    "trace_num": (int, 10),
    "trace_keys": (str | list[str], []),
    "batch_rows": (int, 4096),
    "spark_master": (str | None, None),
    "spark_partitions": (int, 0),
}
# Data-Juicer's keys that we read and leave: each steers machinery that ours does not have or always has.
IGNORED_KEYS = frozenset((
    "executor_type", "ray_address", "use_cache", "ds_cache_dir", "cache_compress", "temp_dir", "use_checkpoint", "checkpoint",
    "resume", "job_id", "event_log_dir", "checkpoint_dir", "partition_dir", "event_logging", "use_dag",
    "open_monitor", "open_insight_mining", "op_list_to_mine", "op_fusion",
    "fusion_strategy", "mapper_fusion", "mapper_fusion_vram_limit", "adaptive_batch_size", "auto_op_parallelism", "turbo",
    "skip_op_error", "strict_preflight", "percentiles", "export_original_dataset", "save_stats_in_one_file", "auto_num",
    "keep_hashes_in_res_ds", "export_in_parallel", "export_extra_args", "hpo_config", "data_probe_algo", "data_probe_ratio",
    "read_options", "override_num_blocks", "min_common_dep_num_to_combine", "conflict_resolve_strategy", "partition_size",
    "partition", "elastic_juicer_adaptive_batching", "elastic_juicer_profile_seed", "image_key", "image_bytes_key",
    "audio_key", "video_key", "image_special_token", "audio_special_token", "video_special_token", "eoc_special_token",
    "debug", "auto", "load_dataset_kwargs",
))
# ... and those that would change which rows come or go: refused with the way out.
REFUSED_KEYS = {
    "generated_dataset_config": "give the data by dataset_path",
    "decrypt_after_reading": "decrypt the files first",
    "encrypt_before_export": "encrypt the files afterwards",
    "encryption_key_path": "decrypt the files first",
    "export_aws_credentials": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment: recipes hold no secrets",
}
