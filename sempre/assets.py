"""What tasks make and use outside of the flow."""

from sempre.sdk.assets import Asset, AssetProperties, MaterializingTask, add_asset_metadata, materialize

__all__ = ["Asset", "AssetProperties", "MaterializingTask", "add_asset_metadata", "materialize"]
