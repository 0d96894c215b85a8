#!/bin/sh
# Start a PostgreSQL server of its own for the tests, in a folder that is given, and print its SQLAlchemy URL.
#
#   export RECONFLOW_TEST_POSTGRES=$(sh deploy/postgres-for-tests.sh start /tmp/pg)
#   sh deploy/postgres-for-tests.sh stop /tmp/pg
set -eu

action=$1
folder=$2
port=${PGPORT:-54399}

run() {  # PostgreSQL refuses to run as root
    if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c "$1"; else sh -c "$1"; fi
}

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -q > /dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql > /dev/null 2>&1 || true
    bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
fi
[ -n "$bin" ] || { echo "PostgreSQL is missing: apt-get install postgresql" >&2; exit 1; }

case $action in
start)
    mkdir -p "$folder"
    [ "$(id -u)" != 0 ] || chown postgres "$folder"
    [ -e "$folder/data" ] || run "$bin/initdb -D $folder/data -U reconflow -A trust -E UTF8 > $folder/initdb.log"
    run "$bin/pg_ctl -D $folder/data -w -l $folder/server.log \
        -o '-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off' start > /dev/null"
    echo "postgresql+psycopg://reconflow@127.0.0.1:$port/postgres"
    ;;
stop)
    run "$bin/pg_ctl -D $folder/data -m immediate stop > /dev/null"
    ;;
*)
    echo "usage: $0 start|stop FOLDER" >&2
    exit 2
    ;;
esac
