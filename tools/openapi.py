"""Write the `openapi.json` of the service after a change of its API.

The file is in the template, so a service has it even without a set-up. This generates a service,
has it write its own with `poe openapi`, and puts the variables of the answers back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from dev import ROOT, TEMPLATE, fatal, run
from tools.running import program, set_up

# Words that stand nowhere else in the document.
ANSWERS = {
    "project_name": "Quokka Xylophone",
    "project_description": "Zeppelin Marmalade.",
    "author_name": "Wombat Kazoo",
}


def main() -> None:
    target = TEMPLATE / "openapi.json"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(
            cookiecutter(
                str(ROOT),
                no_input=True,
                extra_context={**ANSWERS, "init_git": "false"},
                default_config={"replay_dir": f"{folder}/replay"},
                output_dir=folder,
            )
        )
        set_up(project)
        if run([program(project, "poe"), "openapi"], cwd=project) != 0:
            raise fatal("the document could not be written; the reason is above.")
        text = (project / "openapi.json").read_text(encoding="utf-8")
    for name, value in ANSWERS.items():
        text = text.replace(value, f"{{{{ cookiecutter.__{name} }}}}")
    target.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
