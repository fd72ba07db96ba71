"""Archives of finished runs: what figures and tables are drawn from, small enough to be committed."""

import gzip
import os
from pathlib import Path

from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.runs.files import whole_folder, write_atomically
from coplayer.runs.folder import RunFolder, as_bytes

DIGITS = 6  # of a number in an archive


def archive(path: Path, out: Path, *, all_phases: bool = False) -> RunFolder:
    """Write the small part of a finished run to the new folder `out`: config.json, metrics and agents. The metrics are
    compressed, with six digits of each number. The agents are those at the end of training, with `all_phases` those at
    the end of each phase.

    Figures, evaluation, `registry.load` and `join` read an archive as they read a run. Checkpoints and timing.jsonl,
    which only going on with the run needs, stay behind. A run against frozen players names the run of these by its
    place relative to its own, and so does the archive.

    Raises `CoplayerError` where the run is not finished, where `out` holds files, or where no run lies in the place of
    the frozen players.
    """
    folder = RunFolder.open(path)
    _, settings = registry.settings_of_folder(folder)
    registry.require_finished(folder, settings)
    if "frozen" in (named := registry.built_on(settings)):
        place = out.absolute() / os.path.relpath(named["frozen"], folder.path)
        beside = Path(os.path.normpath(place))
        require(
            (beside / "config.json").exists(),
            f"out: the run plays against the agents of {named['frozen']}; archive that first, to {beside}",
        )
    kept = folder.phases() if all_phases else [settings.run.phases]
    agents = {phase: folder.agents_file(phase).read_bytes() for phase in kept}
    return write_archive(out, folder.config(), agents, folder.metrics())


def write_archive(out: Path, config: dict, agents: dict[int, bytes], metrics: list[dict]) -> RunFolder:
    """An archive in the new folder `out`, of the contents of config.json, of the agents files by phase, and of the rows
    of metrics. Raises `CoplayerError` where `out` holds files."""
    rows = as_bytes([{name: _short(value) for name, value in row.items()} for row in metrics])
    with whole_folder(out) as made_in:
        made = RunFolder.create(made_in, config)
        for phase, data in agents.items():
            write_atomically(made.agents_file(phase), data)
        write_atomically(made.archived_metrics, gzip.compress(rows, mtime=0))
    return RunFolder.open(out)


def _short(value: float | int) -> float | int:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
