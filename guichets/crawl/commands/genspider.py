"""``scrapy genspider -t desk NAME``: a new platform family, from its spider to the tests that fail.

Every other template is Scrapy's own business.
"""

from __future__ import annotations

import argparse
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from scrapy.commands.genspider import Command as ScrapyGenspider
from scrapy.exceptions import UsageError
from scrapy.utils.template import string_camelcase

from guichets.catalogue import FAMILIES

TEMPLATE = "desk"
NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
FILES = {  # template -> where its text goes, from the folder of the project
    "spiders/desk.tmpl": "spiders/{name}.py",
    "desk/sandbox.py.tmpl": "guichets/sandbox/families/{name}.py",
    "desk/expected.toml.tmpl": "tests/pages/{name}/expected.toml",
    "desk/none.html.tmpl": "tests/pages/{name}/none.html",
    "desk/unknown.html.tmpl": "tests/pages/{name}/unknown.html",
}


class Command(ScrapyGenspider):
    """Generate new spider using pre-defined templates; ``-t desk`` makes a whole platform family."""

    def syntax(self) -> str:
        return "[options] <name> [<domain>]"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if opts.list:
            print(f"Available templates:\n  {TEMPLATE} (a platform family: scrapy genspider -t desk NAME)")
        if opts.template != TEMPLATE or opts.list or opts.dump:
            super().run(args, opts)
            return
        if len(args) != 1:
            raise UsageError("name the family: scrapy genspider -t desk NAME", print_help=False)
        self._generate(args[0], Path.cwd(), force=opts.force)

    def _generate(self, name: str, project: Path, *, force: bool) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no family's name: small letters, digits and single underscores",
                print_help=False,
            )
        if not (project / "scrapy.cfg").is_file():
            raise UsageError("run it in the folder of the project, beside scrapy.cfg", print_help=False)
        targets = {template: project / place.format(name=name) for template, place in FILES.items()}
        there = [path for path in targets.values() if path.exists()]
        if there and not force:
            raise UsageError(f"{there[0].relative_to(project)} exists; --force replaces it", print_help=False)
        values = {"name": name, "classname": f"{string_camelcase(name)}Spider"}
        for template, path in targets.items():
            text = files("guichets.crawl").joinpath("templates", template).read_text(encoding="utf-8")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
            print(path.relative_to(project))
        if name not in FAMILIES:
            print(
                f"Add the row {name!r} to guichets/catalogue/families.py and to guichets/evidence/scrub.py,"
            )
        print("and a desk to the catalogue; then make the tests pass one by one: docs/new-family.md")
