"""How much memory a stage of training needs: arithmetic on the base's shape and the recipe, no model is loaded.

The activations are those that autograd keeps for one layer of a Llama under SDPA, counted as Korthikanti et al. 2022
("Reducing Activation Recomputation in Large Transformer Models", section 4.1) count a GPT's, and compared tensor by
tensor with what torch 2.13 saves (`saved_tensors_hooks`). What they leave out is one number per device, below.
`benchmarks/memory.py` prints estimates beside measured peaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from ft_assets.training.answer_head import MOST_LOGITS
from ft_assets.training.model_shape import ModelShape
from ft_assets.training.recipe import Recipe

DeviceType = Literal["cpu", "cuda"]
HALF, SINGLE, MIB = 2, 4, 2**20
# Bits per weight of NF4 and FP4 with a 32-bit constant per block of 64, and with the constants quantised to 8 bits in
# blocks of 256 (Dettmers et al. 2023, section 3).
FOUR_BITS, FOUR_BITS_DOUBLY = 4 + 32 / 64, 4 + 8 / 64 + 32 / (64 * 256)
OPTIMIZER_BYTES = {"adamw_torch_fused": 8, "adamw_torch": 8, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2}
# trl.kernels.chunked_logprob: logits are computed in tiles of so many tokens and vocabulary entries.
LOGIT_TOKENS, LOGIT_VOCABULARY = 4096, 32_768
LOGIT_COPIES_ON_CPU = 6  # float32 copies of a tile in its backward; on a GPU one Triton kernel writes in place
HELD_LOGIT_COPIES = 3  # float32 copies where answer_head.py keeps all logits of a forward
# A heap keeps holes between tensors of many sizes: on a CPU under glibc's malloc the peak of resident memory was 1.6 to
# 1.8 times the sum of what is alive. A GPU's allocator is asked for what is allocated, so its holes do not count.
HEAP_FACTOR: dict[DeviceType, float] = {"cpu": 1.7, "cuda": 1.0}
KERNELS: dict[DeviceType, int] = {"cpu": 40 * MIB, "cuda": 64 * MIB}  # compiled kernels and their workspaces
# What is there before any tensor: interpreter and libraries; on a GPU its context, outside of torch's allocator.
RUNTIME: dict[DeviceType, int] = {"cpu": 600 * MIB, "cuda": 1024 * MIB}
LENGTH_STEP = 64  # rows are padded to a multiple of it


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak of a stage, by what they hold."""

    weights: int
    reference: int
    adapter: int
    gradients: int
    optimizer: int
    half_copies: int
    activations: int
    logits: int
    best_checkpoint: int
    kernels: int

    @property
    def total(self) -> int:
        """Bytes of all parts: on a GPU the allocator's peak; without interpreter, libraries or a GPU's context."""
        return sum(getattr(self, part.name) for part in fields(self))

    @property
    def beyond_weights(self) -> int:
        """What comes on top of the loaded model: on a CPU peak RSS less RSS after loading."""
        return self.total - self.weights - self.adapter

    @property
    def growing(self) -> int:
        """The part that grows with the tokens of a forward."""
        return self.activations + self.logits


@dataclass(frozen=True)
class MemoryQuestion:
    """What has to be known to estimate the memory of one stage on one device.

    `half` says whether products run in bfloat16 (`compute.fastest_dtype`), `flash` whether attention needs no dense
    mask. `learned_share` is the share of tokens in the loss; the LM head runs on those only. `devices` share what full
    fine-tuning holds (FSDP2); an adapter's base is on each of them. `growth` and `offset` come from `calibrated`.
    """

    shape: ModelShape
    recipe: Recipe
    device: DeviceType = "cuda"
    half: bool = True
    flash: bool = False
    learned_share: float = 0.5
    devices: int = 1
    growth: float = 1.0
    offset: int = 0

    def at(self, max_length: int | None = None, micro_batch: int | None = None) -> "MemoryQuestion":
        """The same question about another length or micro-batch."""
        recipe = self.recipe
        changed = {
            "max_length": max_length or recipe.max_length,
            "per_device_train_batch_size": micro_batch or recipe.per_device_train_batch_size,
        }
        return replace(self, recipe=recipe.model_copy(update=changed))

    def checkpointed(self) -> "MemoryQuestion":
        """The same question with gradient checkpointing."""
        return replace(self, recipe=self.recipe.model_copy(update={"gradient_checkpointing": True}))

    @property
    def shards(self) -> int:
        """Parts that weights, gradients and optimizer are held in."""
        return self.devices if self.recipe.method == "full" else 1

    @property
    def rows(self) -> int:
        """Rows of `max_length` tokens that a forward holds: a pair has two sides."""
        return self.recipe.per_device_train_batch_size * (2 if self.recipe.objective == "dpo" else 1)

    @property
    def tokens(self) -> int:
        """Tokens of a forward, padding included."""
        return self.rows * self.recipe.max_length

    @property
    def product_bytes(self) -> int:
        """Bytes of a number as it comes out of a matrix product."""
        return HALF if self.half else SINGLE


def estimate_memory(question: MemoryQuestion) -> MemoryEstimate:
    """Bytes that one stage (a recipe of one objective) needs at its peak, on one device."""
    shape, recipe = question.shape, question.recipe
    full = recipe.method == "full"
    adapter = 0 if full else shape.adapter_parameters(recipe.r, recipe.target_modules)
    trained = shape.parameters if full else adapter
    weights = _weight_bytes(question) // question.shards
    second_model = recipe.objective != "sft" and full and not recipe.precompute_ref_log_probs
    heap = HEAP_FACTOR[question.device] * question.growth
    return MemoryEstimate(
        weights=weights,
        reference=weights if second_model else 0,
        adapter=adapter * SINGLE,
        gradients=trained * SINGLE // question.shards,
        optimizer=trained * OPTIMIZER_BYTES[recipe.optim] // question.shards,
        half_copies=_half_copies(question, adapter) if question.half else 0,
        activations=round(_activation_bytes(question) * heap),
        logits=round(_logit_bytes(question) * heap),
        # read at the end, into the host's memory, while a heap has not given back what the gradients held
        best_checkpoint=_weight_bytes(question) if full and question.device == "cpu" else 0,
        kernels=KERNELS[question.device] + _unpacked_bytes(question) + question.offset,
    )


def largest_max_length(question: MemoryQuestion, budget: int) -> int | None:
    """The longest rows, in steps of 64 tokens, whose estimate stays within `budget` bytes; None where not even 64 fit.

    Never more than the recipe's own `max_length`. `budget` is the device's memory: the runtime's share is taken off.
    """
    fitting = 0
    for max_length in range(LENGTH_STEP, question.recipe.max_length + 1, LENGTH_STEP):
        if needed(question.at(max_length=max_length)) > budget:
            break
        fitting = max_length
    return fitting or None


def needed(question: MemoryQuestion) -> int:
    """Bytes that the device has to have: the estimate, and what is there before any tensor.

    A sharded model is whole on each device while it is read, and preferences' reference beside it. That and the shares
    are arithmetic: nobody has measured them on several GPUs.
    """
    models = 2 if question.recipe.objective != "sft" else 1
    whole = _weight_bytes(question) * models if question.shards > 1 else 0
    return max(estimate_memory(question).total, whole) + RUNTIME[question.device]


def calibrated(question: MemoryQuestion, points: Sequence[tuple[int, int, int]]) -> MemoryQuestion:
    """The question with `offset` and `growth` that make its estimate true at two measured peaks.

    A point is (max_length, micro_batch, peak in bytes as `MemoryEstimate.total` counts it). What the arithmetic does
    not know of a device (its kernels' workspaces, what they keep) is a fixed sum and a share of the activations.

    Raises:
        ValueError: not two points with different numbers of tokens; measure another length.
    """
    plain = replace(question, growth=1.0, offset=0)
    (first, low), (second, high) = [
        (estimate_memory(plain.at(max_length, micro_batch)), peak) for max_length, micro_batch, peak in points
    ]
    if first.growing == second.growing:
        raise ValueError(
            "both measured points have the same number of tokens, so nothing follows from their difference"
        )
    growth = (high - low) / (second.growing - first.growing)
    return replace(plain, growth=growth, offset=round(low - (first.total - first.growing) - growth * first.growing))


def _half_copies(question: MemoryQuestion, adapter: int) -> int:
    """What autocast keeps of trained weights in half precision; sharded, the layer at work and the next one."""
    shape = question.shape
    if question.recipe.method != "full":
        return adapter * HALF
    copied = shape.layer_weights if question.shards == 1 else 2 * shape.layer_weights // shape.layers
    return copied * HALF


def _weight_bytes(question: MemoryQuestion) -> int:
    shape, recipe = question.shape, question.recipe
    if recipe.method == "full":
        return shape.parameters * SINGLE
    if recipe.method == "lora":
        return shape.parameters * question.product_bytes
    bits = FOUR_BITS_DOUBLY if recipe.bnb_4bit_use_double_quant else FOUR_BITS
    return round(shape.layer_weights * bits / 8) + (shape.parameters - shape.layer_weights) * question.product_bytes


def _unpacked_bytes(question: MemoryQuestion) -> int:
    """The largest matrix of four bits while it is unpacked for a product."""
    if question.recipe.method != "qlora":
        return 0
    return max(inputs * outputs for inputs, outputs in question.shape.linears().values()) * question.product_bytes


def _activation_bytes(question: MemoryQuestion) -> float:
    """What autograd keeps of all layers, and the mask that they share."""
    shape, recipe = question.shape, question.recipe
    layer = _layer_bytes_per_token(question)
    kept = shape.layers * layer
    if recipe.gradient_checkpointing:  # each layer's input, and one layer with its gradients while it is computed again
        kept = shape.layers * shape.hidden * _residual_bytes(question) + 2 * layer
    return question.tokens * kept + _mask_bytes(question)


def _layer_bytes_per_token(question: MemoryQuestion) -> float:
    """Bytes per token of one layer: norms, inputs of trained matrices, attention, the gated MLP."""
    shape, recipe, size = question.shape, question.recipe, question.product_bytes
    full = recipe.method == "full"
    queries = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim if question.flash else queries  # a dense mask needs them repeated per head
    norms = 2 * shape.hidden * SINGLE * (2 if full else 1)  # RMSNorm computes in float32; trained, it keeps its output
    attention = (2 * queries + 2 * keys) * size
    gates = 3 * shape.intermediate * size
    return norms + attention + gates + _input_bytes_per_token(question)


def _input_bytes_per_token(question: MemoryQuestion) -> int:
    """What matrices keep of their inputs for the gradient of their weights, and LoRA's dropout of its noise.

    Under autocast each matrix casts its input anew, so that q, k and v keep three copies of the same numbers.
    """
    shape, recipe, size = question.shape, question.recipe, question.product_bytes
    targets = shape.linears() if recipe.method == "full" else shape.targets(recipe.target_modules)
    inputs = {name: inputs for name, (inputs, _) in targets.items()}
    kept = dict(inputs)
    if recipe.method == "full" or not question.half:
        kept.pop("o_proj", None)  # the very tensor that attention keeps
    if not question.half:
        for sharing in (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")):
            for name in [name for name in sharing if name in kept][1:]:
                del kept[name]
    noise = 0
    if recipe.method != "full" and recipe.lora_dropout and not (recipe.objective != "sft" and recipe.disable_dropout):
        noise = sum(inputs.values()) * (SINGLE if question.device == "cpu" else 1)
    return sum(kept.values()) * size + noise


def _residual_bytes(question: MemoryQuestion) -> int:
    """Bytes of a number of the residual stream: float32 where the embedding is."""
    return SINGLE if question.recipe.method == "full" else question.product_bytes


def _mask_bytes(question: MemoryQuestion) -> int:
    """The dense mask of packed or padded rows: SFT lays the rows of a forward end to end, pairs stay rows."""
    if question.flash:
        return 0
    squares = (
        question.tokens**2 if question.recipe.objective == "sft" else question.rows * question.recipe.max_length**2
    )
    return squares * question.product_bytes


def _logit_bytes(question: MemoryQuestion) -> float:
    """The LM head's logits, or its tile, and its gradients of hidden states and, under full, of its own weights."""
    shape = question.shape
    learned = question.tokens * question.learned_share
    rows, columns = min(learned, LOGIT_TOKENS), min(shape.vocab, LOGIT_VOCABULARY)
    head = shape.vocab * shape.hidden * SINGLE if question.recipe.method == "full" else 0
    held = question.recipe.objective == "sft" and learned * shape.vocab <= MOST_LOGITS
    if question.device == "cpu" and held:
        tile = learned * shape.vocab * (question.product_bytes + HELD_LOGIT_COPIES * SINGLE)
    elif question.device == "cpu":
        weights = columns * shape.hidden * SINGLE if question.half else 0  # a CPU multiplies a float32 copy of them
        tile = rows * columns * (question.product_bytes + LOGIT_COPIES_ON_CPU * SINGLE) + weights
    else:
        tile = rows * LOGIT_VOCABULARY * question.product_bytes
    return tile + learned * shape.hidden * (SINGLE + question.product_bytes) + head
