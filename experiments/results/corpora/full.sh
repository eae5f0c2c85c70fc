# All 337 MB in eight domains with the paper's three reference tasks: DATA=folder sh full.sh
set -u
pretraingym corpus build --corpus runs/full \
    --files "$DATA/corpus/train-*.parquet" \
    --reference lambada "$DATA/reference/lambada.parquet" \
        squad "$DATA/reference/squad.parquet" \
        jeopardy "$DATA/reference/jeopardy.parquet" \
    --reference-text squad '{context}
{question} {answers.text.0}' \
        jeopardy '{context} {continuation}'
