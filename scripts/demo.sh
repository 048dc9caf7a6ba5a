#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scripts/demo.sh: README's command one.  Installs the packages, builds, and shows on a replica in a
# folder: an app under `walback run`, its database destroyed and brought back, an earlier moment
# restored.  Works in a temporary folder, which it removes.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
: "${HOME:=/root}"
export HOME

scripts/dev/deps.sh build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
echo "building (make -j$(nproc)) ..."
make -s -j"$(nproc)" >"$work/build.log" 2>&1 || {
	tail -30 "$work/build.log" >&2
	echo 'demo: the build failed' >&2
	exit 1
}
cd "$work"
mkdir data
PATH=$root/build/release:$PATH

# Nothing of the caller's own configuration may play a part.
for v in $(env | sed -n 's/^\(\(LITESTREAM\|WALBACK\|AWS\)_[A-Z0-9_]*\)=.*/\1/p'); do
	unset "$v"
done
unset DB_PATH REPLICA_URL BUCKET_NAME
export DATABASE_PATH="$work/data/app.db" WALBACK_REPLICA_URL="file://$work/replica"

# The app: any program will do.  This one speaks SQL from a file.
cat >app <<'END'
#!/bin/sh
while read -r sql; do
	sqlite3 -bail -cmd '.timeout 5000' "$DATABASE_PATH" "$sql" || exit
	sleep 0.5
done
END
chmod +x app

step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
[ -t 1 ] || step() { printf '\n# %s\n' "$*"; }
show() {
	# As a shell would need it: words with blanks quoted.
	line='$'
	for word; do
		case $word in
		*' '*) line="$line '$word'" ;;
		*) line="$line $word" ;;
		esac
	done
	echo "$line" | sed "s|$work|.|g"
	status=0
	"$@" >out 2>&1 || status=$?
	finish "$1 $2"
}
finish() {
	sed "s|$work|.|g" out
	[ $status -eq 0 ] || {
		echo "demo: $1 ended with status $status" >&2
		exit 1
	}
}
run_app() {
	echo "\$ walback run ./app   # $1"
	cat >sql
	# The app reads SQL from standard input; its exit status is walback's.
	status=0
	walback run ./app <sql >out 2>&1 || status=$?
	finish 'walback run'
}

step 'DATABASE_PATH and WALBACK_REPLICA_URL are set; an app starts under walback and writes'
run_app 'writes three orders' <<'END'
CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT);
INSERT INTO orders(item) VALUES ('tea'), ('rice'), ('salt');
SELECT count(*) || ' orders written' FROM orders;
END
sqlite3 data/app.db .dump >good.sql
sleep 1.1
moment=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
sleep 1.1

step "later, a mistake (the moment before it: $moment)"
run_app 'deletes too much' <<'END'
DELETE FROM orders WHERE item <> 'tea';
SELECT count(*) || ' order left' FROM orders;
END

step 'the disk dies'
show rm -rf data

step 'the same command brings the database back before the app starts'
run_app 'lists the orders' <<'END'
SELECT id || '  ' || item FROM orders;
END

step 'what there is to restore'
show walback generations data/app.db

step 'the moment before the mistake, beside the live database'
show walback restore -o earlier.db -timestamp "$moment" data/app.db
show sqlite3 earlier.db 'SELECT id, item FROM orders'
sqlite3 earlier.db .dump >earlier.sql
if cmp -s good.sql earlier.sql; then
	printf '\nThe restored database equals the one of %s, row for row.\n' "$moment"
	# shellcheck disable=SC2016 # backquotes for people
	printf 'The program is build/release/walback: try `walback help`, or `make install` and `man walback`.\n'
else
	echo 'demo: the restored database differs from the original' >&2
	exit 1
fi
