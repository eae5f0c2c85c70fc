# The sample of 30 MB with the paper's three reference tasks: DATA=folder sh mini.sh
set -u
pretraingym corpus build --corpus runs/mini \
    --files "$DATA/corpus/mini.parquet" \
    --reference lambada "$DATA/reference/lambada.parquet" \
        squad "$DATA/reference/squad.parquet" \
        jeopardy "$DATA/reference/jeopardy.parquet" \
    --reference-text squad '{context}
{question} {answers.text.0}' \
        jeopardy '{context} {continuation}'
