"""Archives of finished runs: what figures and tables are drawn from, small enough to be committed."""

import gzip
from pathlib import Path

from coplayer.experiments import registry
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder


def archive(path: Path, out: Path, *, all_phases: bool = False) -> RunFolder:
    """Write a finished run to the new folder `out` without what only going on with the run needs: config.json, all
    metrics, compressed, and the agents at the end of training; with `all_phases`, those at the end of each phase.

    Figures, evaluation and `registry.load` read an archive as they read a run. Checkpoints and timing.jsonl stay
    behind, which joining and going on need. Raises `CoplayerError`
    where the run is not finished, or where `out` holds files.
    """
    folder = RunFolder.open(path)
    _, settings = registry.settings_of_folder(folder)
    registry.require_finished(folder, settings)
    kept = folder.phases() if all_phases else [settings.run.phases]
    made = RunFolder.create(out, folder.config())
    for phase in kept:
        write_atomically(made.agents_file(phase), folder.agents_file(phase).read_bytes())
    write_atomically(made.archived_metrics, gzip.compress(folder.metrics_bytes(), mtime=0))  # last: marks an archive
    return made
