"""What a run is told: the command line, Consul's environment variables and TOML files, as one `Settings`.

`load` is all that a run needs. Every key stands once, in `keys`; every default once, in `ctemplate.settings`.
"""

from ctemplate.config.durations import parse_duration, parse_wait
from ctemplate.config.flags import Flags, parse_catalog_flag, parse_template_flag
from ctemplate.config.loading import load, load_consul

__all__ = ["Flags", "load", "load_consul", "parse_catalog_flag", "parse_duration", "parse_template_flag", "parse_wait"]
