"""The files and the page of finetune/accelerate: known to accelerate, and computed, not guessed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from app.core.errors import ConfigError
from app.core.files import ROOT
from finetune.launcher import check_sharding
from finetune.plan.costs import Batch, Memory, Shape, memory
from tests.train_many import sharding

FOLDER = ROOT / "finetune" / "accelerate"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
FILES = sorted(FOLDER.glob("*.yaml"))
SHARDED = [file for file in FILES if "fsdp_config" in file.read_text()]
RANK, TOKENS, ASKED, GB = 16, 2048, 512, 1e9


class Llama(NamedTuple):
    """Widths of a model of this shape."""

    layers: int
    hidden: int
    keys: int
    inner: int
    vocabulary: int
    tied: bool
    biases: bool = False

    @property
    def layer(self) -> int:
        """Weights of one layer."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.keys
        biases = (self.hidden + 2 * self.keys) * self.biases
        return attention + biases + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def embeddings(self) -> int:
        """Weights that are looked up."""
        return self.vocabulary * self.hidden

    @property
    def total(self) -> int:
        """All weights."""
        return self.layers * self.layer + self.hidden + self.embeddings * (1 if self.tied else 2)

    @property
    def lora(self) -> int:
        """Weights of an adapter of RANK on all linear layers."""
        return self.layers * RANK * (9 * self.hidden + 2 * self.keys + 3 * self.inner)


MODELS = {
    "0.1B": Llama(30, 576, 192, 1536, 49152, tied=True),
    "1.5B": Llama(28, 1536, 256, 8960, 151936, tied=True, biases=True),
    "7B": Llama(32, 4096, 4096, 11008, 32000, tied=False),
    "70B": Llama(80, 8192, 1024, 28672, 128256, tied=False),
}


def shape(model: Llama, method: str) -> Shape:
    """What finetune.plan.counts would count of it on a GPU."""
    lora = method == "LoRA"
    trained = model.lora if lora else model.total
    return Shape(
        total=model.total + lora * trained,
        trained=trained,
        working=model.total - model.embeddings,
        weight_bytes=2 * model.total + 4 * trained if lora else 4 * trained,
        layers=model.layers,
        hidden=model.hidden,
        vocabulary=model.vocabulary,
        value_bytes=2 if lora else 4,
        adapter_bytes=lora * model.layers * 2 * (6 * model.hidden + model.inner),
        kept_heads=0,
        through=True,
    )


def needed(model: Llama, method: str) -> Memory:
    """Of one process."""
    batch = Batch(rows=1, tokens=TOKENS, pairs=TOKENS**2, asked=ASKED)
    return memory(shape(model, method), batch, "adamw")


def spread(model: Llama, method: str, gpus: int) -> float:
    """Bytes on each of `gpus`: a share of all but the activations, and one layer that is whole."""
    found = needed(model, method)
    held = found.weights + found.gradients + found.optimiser
    return held / gpus + model.layer * (2 if method == "LoRA" else 4) + found.activations


def row(size: str, method: str) -> list[str]:
    """A line of the page's table, in GB of 10^9 bytes."""
    model, found = MODELS[size], needed(MODELS[size], method)
    trained = model.lora if method == "LoRA" else model.total
    parts = [*found, found.total, spread(model, method, 8), spread(model, method, 16)]
    return [size, method, f"{trained / 1e6:,.1f} M", *(f"{part / GB:.1f}" for part in parts)]


def test_the_pages_table_is_what_the_formula_gives() -> None:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()]
    found = [line[:10] for line in cells if line[0] in MODELS]
    assert found == [row(size, method) for size in MODELS for method in ("LoRA", "full")]


@pytest.mark.parametrize(
    ("size", "millions"), [("0.1B", 134.5), ("1.5B", 1543.7), ("7B", 6738.4), ("70B", 70553.7)]
)
def test_the_models_of_the_table_have_the_published_sizes(size: str, millions: float) -> None:
    assert round(MODELS[size].total / 1e6, 1) == millions


def test_the_page_sends_each_size_to_a_file_that_there_is() -> None:
    named = set(re.findall(r"`([\w-]+\.yaml)`", PAGE))
    assert named == {file.name for file in FILES}
    assert "Not run by us, for want of a GPU" in PAGE


def test_commands_that_need_a_gpu_say_that_they_were_not_run_here() -> None:
    fences = re.findall(r"^```sh([^\n]*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(fences) == 3
    for note, code in fences:
        needs_gpu = "gpu" in code or "multi-node" in code
        assert ("not run here: no GPU" in note) == needs_gpu, code


# the files


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """Each of the files."""
    return Path(request.param)


def test_accelerate_loads_the_file_and_knows_every_key(file: Path) -> None:
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    loaded = load_config_from_file(str(file))
    tree = yaml.safe_load(file.read_text())
    assert isinstance(loaded, ClusterConfig)
    assert set(tree) <= {field.name for field in dataclasses.fields(ClusterConfig)}
    known = vars(launch_command_parser().parse_args(["train.py"]))
    assert set(tree.get("fsdp_config", {})) <= set(known)
    assert loaded.num_processes == tree["num_processes"]


def test_autocast_is_off_everywhere(file: Path) -> None:
    # the frozen weights have the dtype that the run's config says, what is trained is fp32
    assert yaml.safe_load(file.read_text())["mixed_precision"] == "no"


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """launched(FILE, ARGUMENTS...): puts what accelerate's launcher says into the environment."""

    def put(file: Path, *arguments: str) -> None:
        for key, value in sharding(file, *arguments).items():
            monkeypatch.setenv(key, value)

    return put


@pytest.mark.parametrize("file", SHARDED, ids=lambda file: file.stem)
def test_accelerate_takes_fsdp2_by_layer_with_whole_checkpoints(
    file: Path, launched: Callable[..., None]
) -> None:
    from accelerate import FullyShardedDataParallelPlugin
    from torch.distributed.fsdp import StateDictType
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    launched(file)
    check_sharding()
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.transformer_cls_names_to_wrap is None  # then it asks the model
    assert plugin.state_dict_type == StateDictType.FULL_STATE_DICT
    assert plugin.reshard_after_forward is True
    assert plugin.activation_checkpointing is False


def test_the_model_names_the_layers_to_wrap(tmp_path: Path) -> None:
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy

    from app.models import classifier
    from app.models.lora import attach_lora
    from app.models.references import resolve
    from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama

    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap"
    )
    for made in (tiny_bert, tiny_gpt2, tiny_llama):
        weights = resolve(str(made(tmp_path / made.__name__)))
        model, _ = classifier.build(weights, ["a", "b"])
        for wrapped in (model, attach_lora(model)):
            policy: Any = fsdp2_prepare_auto_wrap_policy(plugin, wrapped)
            layers = [type(m).__name__ for m in wrapped.modules() if policy(m)]
            assert sum("Layer" in name or "Block" in name for name in layers) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--fsdp_activation_checkpointing=true", "fsdp_activation_checkpointing is true, expected"),
        ("--fsdp_state_dict_type=SHARDED_STATE_DICT", "expected FULL_STATE_DICT"),
        ("--fsdp_version=1", "fsdp_version is 1, expected 2"),
        ("--fsdp_cpu_ram_efficient_loading=true", "fsdp_cpu_ram_efficient_loading is true"),
    ],
)
def test_settings_that_lose_the_adapter_are_refused(
    arguments: str, said: str, launched: Callable[..., None]
) -> None:
    launched(FOLDER / "eight-gpus-fsdp2.yaml", arguments)
    with pytest.raises(ConfigError, match=said):
        check_sharding()


def test_several_machines_need_an_address_and_count_all_their_processes() -> None:
    tree = yaml.safe_load((FOLDER / "multi-node.yaml").read_text())
    assert tree["num_processes"] == 8 * tree["num_machines"]
    assert {"machine_rank", "main_process_ip", "main_process_port"} < set(tree)


def test_one_gpu_sees_one_gpu() -> None:
    # the Trainer would split each batch over all that one process sees
    assert yaml.safe_load((FOLDER / "one-gpu.yaml").read_text())["gpu_ids"] == "0"
