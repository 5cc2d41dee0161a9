"""A whole SDXL of 70,000 random weights, built in code: the real classes and the real path, small enough for a CPU.

Belongs here: the model and its files. Does not belong here: what is tested with it.
"""

from pathlib import Path
from typing import Any


def tiny_pipeline(seed: int = 0, in_channels: int = 4, guidance_features: int | None = None, **scheduler: Any) -> Any:
    """A StableDiffusionXLPipeline in float32; `seed` chooses the weights.

    `in_channels` of 9 makes a UNet for inpainting, `guidance_features` one that was distilled with guidance as an input.
    """
    import diffusers
    import torch

    kinds: Any = diffusers
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    encoder, encoder_2 = _text_encoders()
    unet = kinds.UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        time_cond_proj_dim=guidance_features,
        projection_class_embeddings_input_dim=6 * 8 + 16,
        cross_attention_dim=32,
        norm_num_groups=4,
    )
    # Four blocks, so that a latent's side is eight pixels as in the full model.
    vae = kinds.AutoencoderKL(
        block_out_channels=(4, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.13025,
        force_upcast=False,
        sample_size=64,
    )
    pipeline = kinds.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoder,
        text_encoder_2=encoder_2,
        tokenizer=byte_tokenizer("<|endoftext|>"),
        tokenizer_2=byte_tokenizer("!"),
        unet=unet,
        scheduler=kinds.EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            **({"timestep_spacing": "leading", "steps_offset": 1} | scheduler),
        ),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    for part in (unet, vae, encoder, encoder_2):
        part.eval().requires_grad_(False)
    return pipeline


def write_tiny_sdxl(folder: Path, seed: int = 0) -> Path:
    """The model as files, as `save_pretrained` lays them out; gives the folder."""
    tiny_pipeline(seed).save_pretrained(folder)
    return folder


def byte_tokenizer(padding: str) -> Any:
    """CLIP's bytes and no merges: each letter is a token."""
    from transformers import CLIPTokenizer

    letters = _bytes_as_letters()
    symbols = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=padding, model_max_length=77)


def _text_encoders() -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=16,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return CLIPTextModel(config), CLIPTextModelWithProjection(config)


def _bytes_as_letters() -> list[str]:
    """The 256 letters that stand for the bytes: themselves where they can be printed, others from 256 on (as in GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(hidden))]
