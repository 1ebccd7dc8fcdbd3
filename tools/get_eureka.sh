#!/usr/bin/env bash
# Prints the path of a real Eureka server's jar, built by Maven from tests/live/eureka_server. The jar and what Maven
# fetched (100 MB) stay below $XDG_CACHE_HOME/ctemplate, outside the checkout. Needs mvn and a JDK 17 or newer.
set -euo pipefail
cd "$(dirname "$0")/../tests/live/eureka_server"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ctemplate
# By what it is built from: another checkout finds the same one.
version=$(find pom.xml src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
jar=$cache/eureka/$version.jar

if [ ! -f "$jar" ]; then
    command -v mvn > /dev/null || { echo "get_eureka: mvn is not on PATH (Debian: apt-get install maven)" >&2; exit 1; }
    echo "get_eureka: building a Eureka server (a minute, the first time)" >&2
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp -r pom.xml src "$work"
    mvn -B -ntp -q -f "$work/pom.xml" -Dmaven.repo.local="$cache/maven" package >&2
    mkdir -p "$cache/eureka"
    mv "$work/target/eureka-server.jar" "$jar.part"
    mv "$jar.part" "$jar"
fi
echo "$jar"
