# Tokens to the same loss, on other sealed scenarios than those of protocol.json, all ordinary; many-tasks was added when
# it had won there, before any of these ran
pretraingym compare --corpus runs/tasks --folder runs/ladder --policies many-tasks lift ten-tasks \
    --distribution.split sealed --distribution.nulls 0 --scenarios 24 --seed 20261301 --ladder 2 4
