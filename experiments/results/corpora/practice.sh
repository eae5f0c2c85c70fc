# Corpora of 20 users to learn on, and of six that no learner meets: DATA=folder sh practice.sh
# SEED=1 gives others, of the same repositories kept for each kind.
# Each has eight practice tasks, which are clusters of its own text, and a random share of it as the task `heldout`.
set -u
python -m pretraingym.experiments.benchmarks.corpus_slices --data "$DATA" --folder runs/slices \
    --seed "${SEED:-0}"
for slice in runs/slices/*.parquet; do
    pretraingym corpus build --corpus "runs/$(basename "$slice" .parquet)" \
        --files "$slice" --columns.group source --practice 8 --hold-out 0.03
done
