"""What the files should say: templates in, bytes out, nothing read but the snapshot."""

from ctemplate.render.resolve import Renderer

__all__ = ["Renderer"]
