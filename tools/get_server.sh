#!/usr/bin/env bash
# Prints where each named server is: on PATH, else fetched from the machine's own Debian mirror and
# unpacked below .cache/servers, so that nothing is installed and no system service starts.
# Needs no root. Usage: tools/get_server.sh nginx|haproxy|keepalived|consul|etcd|zookeeper-server|dockerd|wrk|nginx-stream|systemd-analyze|ip|… (below)
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache
servers=$cache/servers
PATH=$PATH:/usr/sbin:/sbin:$servers/bin

fail() {
    echo "get_server: $*" >&2
    exit 1
}

# The machine's own source of Debian's main archive; with an argument, that suite of it alone.
sources() {
    local deb822=/etc/apt/sources.list.d/debian.sources
    if [ -f "$deb822" ] && [ $# = 0 ]; then
        cat "$deb822"
    elif [ -f "$deb822" ]; then
        # The first stanza is the main archive.
        sed -e '/^#/d' "$deb822" | awk -v RS= 'NR == 1' | sed -e "s/^Suites:.*/Suites: $1/" -e 's/^Components:.*/Components: main/'
    elif [ -f /etc/apt/sources.list ] && [ $# = 0 ]; then
        cat /etc/apt/sources.list
    elif [ -f /etc/apt/sources.list ]; then
        sed -nE "s/^(deb +(\[[^]]*\] +)?[^ ]+) +[a-z]+ +main.*/\1 $1 main/p" /etc/apt/sources.list | head -n 1
    fi
}

# apt-get with lists of its own: `apt SUITE|own update`.
apt() {
    local world=$cache/apt/$1 list=private.list
    if [ ! -d "$world/parts" ]; then
        mkdir -p "$world/parts" "$world/state/lists/partial" "$world/cache/archives/partial"
        [ ! -f /etc/apt/sources.list.d/debian.sources ] || list=private.sources
        # shellcheck disable=SC2046 # no suite is no argument
        sources $([ "$1" = own ] || echo "$1") > "$world/parts/$list"
        [ -s "$world/parts/$list" ] || fail "no Debian source in /etc/apt: install what is missing by hand"
    fi
    shift
    apt-get -q -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$world/parts" \
        -o Dir::State="$world/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$world/cache" "$@"
}

# `unpack NAME SUITE|own PACKAGE [alone]`: into .cache/servers/NAME, with the libraries that this machine lacks.
unpack() {
    local name=$1 suite=$2 package=$3 alone=${4:-} packages log=$cache/apt.log deb
    command -v apt-get > /dev/null || fail "$name is not on PATH and there is no apt-get: install $name"
    mkdir -p "$servers/bin" "$cache/debs"
    echo "get_server: fetching $name (Debian package $package)" >&2
    apt "$suite" update > "$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed: install $name by hand"; }
    packages=$package
    # Another release's libraries are not for this machine.
    if [ "$suite" = own ] && [ -z "$alone" ]; then
        packages=$(apt own --simulate --no-install-recommends install "$package" | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    fi
    rm -rf "$servers/$name.part" "$cache"/debs/*
    # shellcheck disable=SC2086 # a list of package names
    (cd "$cache/debs" && apt "$suite" download ${packages:-$package}) >> "$log" 2>&1 \
        || { tail -n 5 "$log" >&2; fail "could not download ${packages:-$package}: install $name by hand"; }
    for deb in "$cache"/debs/*.deb; do
        dpkg -x "$deb" "$servers/$name.part"
    done
    rm -rf "${servers:?}/$name" "$cache/debs"
    mv "$servers/$name.part" "$servers/$name"
}

# `command_for NAME PATH [COMMAND]`: .cache/servers/bin/COMMAND, by default NAME, runs PATH with the libraries that came
# with it.
command_for() {
    local libraries command=${3:-$1}
    [ -x "$servers/$1/$2" ] || fail "the package of $1 holds no $2"
    libraries=$(find "$servers/$1" -name '*.so*' -exec dirname {} + | sort -u | paste -sd:)
    {
        echo '#!/bin/sh'
        # `exec` keeps the process id that was started.
        echo "LD_LIBRARY_PATH=$libraries exec $servers/$1/$2 \"\$@\""
    } > "$servers/bin/$command.part"
    chmod +x "$servers/bin/$command.part"
    mv "$servers/bin/$command.part" "$servers/bin/$command"
}

for server; do
    case $server in
        nginx | haproxy | keepalived)
            command -v "$server" && continue
            unpack "$server" own "$server"
            command_for "$server" "usr/sbin/$server"
            command -v "$server"
            ;;
        # Not servers, but what some tests ask for and a container may lack.
        systemd-analyze | patch | ip | strace | wrk)
            command -v "$server" && continue
            package=${server%-analyze}
            unpack "$server" own "${package/#ip/iproute2}"
            command_for "$server" "$(cd "$servers/$server" && find . -path "*bin/$server" -type f | head -n 1)"
            command -v "$server"
            ;;
        java)
            command -v java && continue
            unpack java own default-jre-headless
            # Its configuration is linked by absolute paths.
            find "$servers/java/usr/lib/jvm" -type l -lname '/etc/*' | while read -r link; do
                ln -sfn "$servers/java$(readlink "$link")" "$link"
            done
            found=$(cd "$servers/java" && find usr/lib/jvm -path '*/bin/java' -type f | head -n 1)
            command_for java "$found"
            command -v java
            ;;
        zookeeper-server)
            # One command for ZooKeeper's standalone server: `zookeeper-server CONFIGURATION`.
            java=$("$0" java)
            jars=/usr/share/java
            if [ ! -f $jars/zookeeper.jar ]; then
                jars=$servers/zookeeper/usr/share/java
                [ -f "$jars/zookeeper.jar" ] || unpack zookeeper own \
                    "libzookeeper-java libslf4j-java libdropwizard-metrics-java libsnappy-java" alone
            fi
            main=org.apache.zookeeper.server.ZooKeeperServerMain path=
            for jar in zookeeper zookeeper-jute slf4j-api metrics-core snappy-java; do
                path=$path:$jars/$jar.jar
            done
            mkdir -p "$servers/bin"
            {
                echo '#!/bin/sh'
                echo "exec $java -Xmx128m -Xshare:auto -XX:TieredStopAtLevel=1 -cp ${path#:} $main \"\$@\""
            } > "$servers/bin/$server.part"
            chmod +x "$servers/bin/$server.part"
            mv "$servers/bin/$server.part" "$servers/bin/$server"
            echo "$servers/bin/$server"
            ;;
        etcd)
            command -v etcd && continue
            unpack etcd own etcd-server
            command_for etcd usr/bin/etcd
            command -v etcd
            ;;
        busybox)
            # Itself, not a script that runs it: tests put it into containers.
            command -v busybox && continue
            unpack busybox own busybox-static
            ln -sf "$servers/busybox/bin/busybox" "$servers/bin/busybox"
            command -v busybox
            ;;
        dockerd)
            # The engine is nothing without its helpers.
            if command -v containerd > /dev/null && command -v runc > /dev/null; then command -v dockerd && continue; fi
            fail "install docker.io: unpacked it would not find its libraries, since it starts itself with no environment"
            ;;
        consul)
            command -v consul && continue
            # Debian 12 has none; Debian 11's runs there.
            unpack consul bullseye consul
            command_for consul usr/bin/consul
            command -v consul
            ;;
        nginx-stream)
            # Debian builds the stream module apart from nginx; prints the module's path.
            found=$(find /usr/lib/nginx/modules "$servers" -name ngx_stream_module.so 2> /dev/null | head -n 1 || true)
            if [ -z "$found" ]; then
                unpack nginx-stream own libnginx-mod-stream
                found=$(find "$servers/nginx-stream" -name ngx_stream_module.so)
            fi
            echo "$found"
            ;;
        *) fail "unknown server $server: see the top of this file" ;;
    esac
done
