# The sample of 30 MB with ten reference tasks, of which seven are held-out text: DATA=folder sh ten-tasks.sh
set -u
pretraingym corpus build --corpus runs/tasks \
    --files "$DATA/corpus/mini.parquet" \
    --reference lambada "$DATA/reference/lambada.parquet" \
        squad "$DATA/reference/squad.parquet" \
        jeopardy "$DATA/reference/jeopardy.parquet" \
        arxiv "$DATA/corpus/valid-arxiv.parquet" \
        books "$DATA/corpus/valid-books.parquet" \
        code "$DATA/corpus/valid-code.parquet" \
        docs "$DATA/corpus/valid-docs.parquet" \
        stackexchange "$DATA/corpus/valid-stackexchange.parquet" \
        web "$DATA/corpus/valid-web.parquet" \
        wikipedia "$DATA/corpus/valid-wikipedia.parquet" \
    --reference-text squad '{context}
{question} {answers.text.0}' \
        jeopardy '{context} {continuation}' \
    --reference-group squad title arxiv source books source code source docs source stackexchange source web source \
        wikipedia source
