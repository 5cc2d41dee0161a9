"""The keys that sign a brand's pictures, for commands: they stand on the floor of the assets, whose steps sign too."""

from assets.visuals.brand_credentials import anchors_of, credentials_folder, credentials_of

__all__ = ["anchors_of", "credentials_folder", "credentials_of"]
