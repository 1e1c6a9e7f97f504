"""Judging what a run has kept, by another judge than its study's."""

from pathlib import Path

from imgcollapse import plugins, progress, store
from imgcollapse.datasets.dataset import check_all
from imgcollapse.judges.judge import Judge
from imgcollapse.store import run_folder
from imgcollapse.study import Landed, Study, judging_of, prepare


def judge_again(study: Study, folder: Path, judge: Judge, landed: Landed, shared: Path | None = None) -> str:
    """Judges what a run has kept by a judge that its study need not name; returns the name of that judge's folder.

    `landed(generation, scores)` is called for every generation that was judged now. Raises the Problems of `imgcollapse.errors`.
    """
    study, world, real = prepare(study)
    judge = judge.resolved(world, study.size(len(real.seen)), plugins.own_metrics(study.plugins))
    check_all(judge.extractors or (), world)
    with run_folder.opened(folder, load=study.model.load) as kept:
        kept.fix(store.DATA, world.record(), {"passed_over": dict(world.passed_over)})
        judging = judging_of(study, judge, folder, world, real, shared)
        for generation in store.sound(folder):
            if not store.has(folder, generation, store.SAMPLES):
                progress.say(
                    f"generation {generation}: its samples are no longer kept (keep.samples, or imgcollapse prune); it is left out"
                )
            elif not judging.has(generation):
                landed(generation, judging(generation))
    return judging.name
