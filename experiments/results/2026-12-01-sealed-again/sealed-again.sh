# The second sealed test: DATA=folder sh sealed-again.sh, in an empty folder; code of the commit that has protocol.json
set -u
here=$(cd "$(dirname "$0")" && pwd)
SEED=1 sh "$here/../corpora/practice.sh"
sed 's/corpus build --corpus runs\/tasks/& --hold-out 0.1/' "$here/../corpora/ten-tasks.sh" > ten-tasks.sh
sh ten-tasks.sh
cp -r "$here/../2026-12-01-sealed/rivals/regmix" runs/regmix
python -m pretraingym.experiments.benchmarks.claim "$here/protocol.json" --corpora runs --folder runs/claim --resume
