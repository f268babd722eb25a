"""Networks and tokenizers of Hugging Face directories and GGUF files: from this disk only, and never from pickles."""

import importlib
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from qtaml import _files
from qtaml.checkpoints import open_checkpoint
from qtaml.cli.state_dict import (
    PICKLED,
    check_names,
    check_not_pickled,
    listing,
    load_weights,
    nothing_unpickled,
    state_of,
)
from qtaml.errors import ArgumentError, ModelError, QtamlError, StoredFileError
from qtaml.memory import MANIFEST

_CONFIG, _WEIGHTS = "config.json", ("model.safetensors", "model.safetensors.index.json")
_SOURCE = "pretrained_model_name_or_path"
_QUANTISED = ("compressed-tensors", "torchao")
"""What has quantised a network whose weights are read here, in the words of transformers."""
# Arguments by which timm loads weights: pickles among them, from the network too.
_LOADING = {
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_model_args",
}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def load_directory(path: Path) -> nn.Module:
    """The network of a directory as transformers or timm save it, in float32.

    Args:
        path: with `config.json` and `model.safetensors` (or its index and shards).

    Raises:
        StoredFileError: if the directory is something else, or its weights are missing, damaged or pickled.
        ModelError: if the weights are those of another architecture; the message shows the difference.
        QtamlError: if the package that it needs is not installed.
    """
    config = _config(path)
    if not any((path / name).is_file() for name in _WEIGHTS):
        # A directory that has pickled weights only: the error should say how to convert them.
        for pickled in sorted(entry for entry in path.iterdir() if entry.suffix in PICKLED):
            check_not_pickled(pickled)
        raise StoredFileError(f"{path} holds no weights: it needs {_WEIGHTS[0]}")
    for file in _weight_files(path):
        with _files.open_regular(file):  # a pipe would hang the package that loads it
            check_not_pickled(file)
        if file.suffix != ".safetensors":
            raise StoredFileError(f"{path} keeps weights in {file.name}, which is no safetensors file")
    return _transformers_network(path, config) if config.get("architectures") else _timm_network(path, config)


def load_gguf(path: Path) -> nn.Module:
    """The network of a GGUF file whose architecture transformers knows, its weights dequantised to float32.

    Args:
        path: the file.

    Raises:
        StoredFileError: if the file is damaged, or transformers cannot make a language model of it.
        QtamlError: if a package that it needs is not installed.
    """
    open_checkpoint(path)  # its header is checked; that of transformers believes it
    for package in ("transformers", "accelerate"):
        _installed(package, f"the network in {path}", "gguf")
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with redirect_stderr(io.StringIO()):  # where it shows bars whatever it is told
        network: nn.Module = _of_gguf(transformers.AutoModelForCausalLM, path, dtype=torch.float32)
    return network


def _of_gguf(kind: Any, path: Path, **settings: Any) -> Any:
    """What a class of transformers makes of a GGUF file."""
    # In a folder of its own: others are looked through for adapters and configurations.
    with tempfile.TemporaryDirectory(prefix="qtaml-gguf-") as folder, _from_this_disk():
        Path(folder, "model.gguf").symlink_to(path.resolve())
        try:
            return kind.from_pretrained(
                folder, gguf_file="model.gguf", local_files_only=True, trust_remote_code=False, **settings
            )
        except Exception as error:
            raise StoredFileError(f"transformers cannot load {path}: {_first_line(error)}") from error


def tokens_of_text(text: str, source: Path, model: str, length: int) -> torch.Tensor:
    """A text as samples of `length` tokens; a shorter rest at its end is dropped.

    Args:
        text: the text.
        source: where it is from, for messages.
        model: the Hugging Face directory, or GGUF file, whose tokenizer to use.
        length: tokens of a sample.

    Returns:
        int64, shape (samples, length).

    Raises:
        ArgumentError: if `model` is no such directory, or the text or the model's context is too short.
        StoredFileError: if the tokenizer is missing or damaged.
        QtamlError: if transformers is not installed.
    """
    path = Path(model)
    gguf = path.suffix == ".gguf" and path.is_file()
    if not (path.is_dir() or gguf):
        raise ArgumentError(
            f"{source} is a text, which needs the tokenizer of a Hugging Face directory as the model, got {model!r}; "
            "give token numbers as .npz or .safetensors instead"
        )
    transformers = _installed("transformers", f"the tokenizer in {path}")
    config = _of_gguf(transformers.AutoConfig, path).to_dict() if gguf else _config(path)
    # Names of the same setting in different families of models; some say nothing.
    longest = config.get("max_position_embeddings") or config.get("n_positions") or length
    if length > longest:
        raise ArgumentError(f"--length must be at most {longest} for the model in {path}, got {length}")
    if not gguf and not any((path / name).is_file() for name in _TOKENIZERS):
        raise StoredFileError(f"{path} has no tokenizer, which a text needs: copy its {_TOKENIZERS[0]} there")
    try:
        with _from_this_disk():
            tokenizer = (
                _of_gguf(transformers.AutoTokenizer, path)
                if gguf
                else transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            )
        # Special tokens would mark a start that pieces cut out of the text do not have. verbose=False: a text longer
        # than the context is meant.
        tokens = torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], dtype=torch.int64)
    except Exception as error:
        raise StoredFileError(f"cannot use the tokenizer in {path}: {_first_line(error)}") from error
    if len(tokens) < 2 * length:
        raise ArgumentError(
            f"{source} must be long enough for at least 2 samples of {length} tokens, got {len(tokens)} tokens; "
            "give a longer text, or a smaller --length"
        )
    # The embedding would fail on it, far from the cause.
    if (largest := int(tokens.max())) >= config.get("vocab_size", largest + 1):
        raise ArgumentError(
            f"{path} holds a tokenizer of another model: it gives token {largest}, the model has {config['vocab_size']}"
        )
    return tokens[: len(tokens) // length * length].reshape(-1, length)


def _config(path: Path) -> dict[str, Any]:
    if (path / MANIFEST).is_file():
        raise StoredFileError(f"{path} is a stored network of qtaml; name the directory of the network that it is of")
    if not (path / _CONFIG).is_file():
        raise StoredFileError(f"{path} is not a Hugging Face directory: it has no {_CONFIG}")
    try:
        config = json.loads(_files.read_bytes(path / _CONFIG))
    except ValueError as error:
        raise StoredFileError(f"{path / _CONFIG} is not JSON: {error}") from error
    # transformers writes a list, timm a single name.
    names = config.get("architectures") or [config.get("architecture")] if isinstance(config, dict) else None
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise StoredFileError(f"{path / _CONFIG} names no architecture, as those of transformers and timm do")
    return cast(dict[str, Any], config)


def _weight_files(path: Path) -> list[Path]:
    if (path / _WEIGHTS[0]).is_file():
        return [path / _WEIGHTS[0]]
    index = path / _WEIGHTS[1]
    try:
        return [path / name for name in sorted(set(json.loads(_files.read_bytes(index))["weight_map"].values()))]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoredFileError(f"{index} is no index of safetensors files: {_first_line(error)}") from error


def _transformers_network(path: Path, config: dict[str, Any]) -> nn.Module:
    transformers = _installed("transformers", f"the network in {path}")
    name: str = config["architectures"][0]
    try:
        # By name from the package only: an "auto_map" in the configuration names code of the directory.
        architecture = getattr(transformers, name, None)
    except ImportError as error:
        raise QtamlError(f"transformers cannot import the {name} of {path}: {error.__cause__ or error}") from error
    if not (isinstance(architecture, type) and issubclass(architecture, transformers.PreTrainedModel)):
        raise ModelError(f"{path} holds a {name}, which transformers {transformers.__version__} does not have")
    # Its warnings would mix with the output; what matters of them is checked below.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        with _from_this_disk():
            source = _dequantised(path, architecture) if _is_quantised(config) else {_SOURCE: path}
            model, found = cast(Any, architecture).from_pretrained(
                **source,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                # Mismatches are returned, with their names, and refused below in the form of all other such errors.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:
        raise StoredFileError(f"cannot load the network in {path}: {_first_line(error)}") from error
    # Tensors that the model leaves unused are no harm, unless others are missing.
    if found["missing_keys"]:
        check_names(path, found["missing_keys"], found["unexpected_keys"])
    if other := found["mismatched_keys"]:
        raise ModelError(
            f"the weights in {path} do not fit the model; of another shape: {listing([n for n, *_ in other])}"
        )
    network: nn.Module = model
    return network


def _is_quantised(config: dict[str, Any]) -> bool:
    told = config.get("quantization_config")
    return isinstance(told, dict) and told.get("quant_method") in _QUANTISED


def _dequantised(path: Path, architecture: Any) -> dict[str, Any]:
    """What a class of transformers makes a network in floats of: packed layers have no weights to be planned."""
    settings = architecture.config_class.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    del settings.quantization_config
    state = {name: value for file in _weight_files(path) for name, value in state_of(file).items()}
    return {_SOURCE: None, "config": settings, "state_dict": state}


def _timm_network(path: Path, config: dict[str, Any]) -> nn.Module:
    timm = _installed("timm", f"the network in {path}")
    # timm writes the number of classes beside the arguments, not among them.
    settings = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, dict) or (loading := sorted(_LOADING & arguments.keys())):
        named = repr(arguments) if not isinstance(arguments, dict) else ", ".join(map(repr, loading))
        raise StoredFileError(f"{path / _CONFIG} must not name weights to load or where from, got model_args {named}")
    if not timm.is_model(config["architecture"]):  # such as one of the hub, or of another folder
        raise ModelError(f"{path} holds a {config['architecture']!r}, which timm {timm.__version__} does not have")
    try:
        with _from_this_disk():
            model: nn.Module = timm.create_model(config["architecture"], pretrained=False, **settings, **arguments)
    except Exception as error:
        raise ModelError(f"timm cannot make the network in {path}: {_first_line(error)}") from error
    load_weights(model, path / _WEIGHTS[0])
    return model


@contextmanager
def _from_this_disk() -> Iterator[None]:
    """Nothing is fetched from a hub and nothing unpickled in the block, whatever a configuration names."""
    hub: Any = importlib.import_module("huggingface_hub.constants")
    # huggingface_hub reads its environment once, when it is imported: only the constant still counts.
    offline, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True
    try:
        with nothing_unpickled():
            yield
    finally:
        hub.HF_HUB_OFFLINE = offline


def _installed(package: str, wanted: str, extra: str = "") -> Any:
    """A package that comes with an optional extra, which has its name if not given.

    Raises:
        QtamlError: if it cannot be imported; the message names the extra.
    """
    try:
        return importlib.import_module(package)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        raise QtamlError(
            f"{wanted} needs {package} ({_first_line(error)}): pip install 'qtaml[{extra or package}]'"
        ) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # A first line that ends in a colon says nothing without the second.
    return " ".join(lines[: 1 + lines[0].endswith(":")])
