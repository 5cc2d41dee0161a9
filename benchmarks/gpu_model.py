"""SDXL without its weights: the full architecture, filled with random numbers on the device, and the tests' tiny one.

The time that a picture takes does not depend on what the weights are; what it shows does, so nothing is said of that.

Belongs here: configurations. Does not belong here: what is timed.
"""

from typing import Any, Literal

from tests.resources.gpu.tiny_sdxl import byte_tokenizer, tiny_pipeline

Size = Literal["full", "tiny"]

UNET: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
_TEXT: dict[str, Any] = {"vocab_size": 49408, "max_position_embeddings": 77, "bos_token_id": 512, "eos_token_id": 513}
TEXT = _TEXT | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
TEXT_2 = _TEXT | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
PARAMETERS = 2_567_463_684
"""Of the UNet, as published."""


def build(size: Size, device: str, dtype: Any) -> Any:
    """A StableDiffusionXLPipeline with random weights of `dtype` on `device`, which may be `meta`."""
    import diffusers
    import torch

    if size == "tiny":
        return tiny_pipeline().to(device, dtype) if device != "meta" else tiny_pipeline().to(device)
    kinds: Any = diffusers
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            torch.manual_seed(0)
            unet, vae = kinds.UNet2DConditionModel(**UNET), kinds.AutoencoderKL(**VAE)
            encoder, encoder_2 = _text_encoders()
    finally:
        torch.set_default_dtype(before)
    for part in (unet, vae, encoder, encoder_2):
        part.eval().requires_grad_(False)
    scheduler = kinds.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    pipeline = kinds.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoder,
        text_encoder_2=encoder_2,
        tokenizer=byte_tokenizer("<|endoftext|>"),
        tokenizer_2=byte_tokenizer("!"),
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _text_encoders() -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    return CLIPTextModel(CLIPTextConfig(**TEXT)), CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2))
