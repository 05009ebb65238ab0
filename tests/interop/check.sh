#!/usr/bin/env bash
# Exports of a result, opened in other programs: bones at every frame against the record, and what validators say.
#
#     tests/interop/check.sh [RESULT [CACHE]]
#
# RESULT is a folder of `glot run`; without it one is made of examples/clip.mp4. CACHE keeps what is installed (npm
# packages, virtual environments) and made; without it that is a temporary folder, removed in the end.
#
# PYTHON has glot and its extra `test` installed (default: python). Beyond that every check needs a tool of its own and is
# skipped, with a word, where that can neither be found nor installed:
#
#     gltf_validator, three    node and npm (packages gltf-validator, three)
#     blender                  BPY_PYTHON, a Python that imports bpy; else Python 3.11 and pip (package bpy)
#     usd                      usd-core in PYTHON
#     bvh_parsers              pip (packages bvhio, bvhsdk) beside upc-pymotion in PYTHON
#     c3d, coco                c3d and ezc3d, pycocotools in PYTHON
#     tables                   pip (packages pandas, pyarrow), and pyarrow in PYTHON
#     opensim                  OPENSIM_PYTHON, a Python that imports opensim (conda install opensim)
#     view                     chromium, pip (package playwright), and the result's video
#
# The exit status is 1 where a check fails.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
result=${1:-}
PYTHON=$(command -v "${PYTHON:-python}")
if [ -n "${2:-}" ]; then
    mkdir -p "$2" && cache=$(cd "$2" && pwd)
else
    cache=$(mktemp -d "${TMPDIR:-/tmp}/glot-interop.XXXXXX")
    trap 'rm -rf -- "$cache"' EXIT
fi
failed=0
export PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}"

glot() { "$PYTHON" -c 'from glot_cli.cli import main; main()' "$@"; }
skip() { echo "skipped $1: $2"; }

# check NAME COMMAND...: run it; a failure fails everything.
check() {
    local name=$1
    shift
    if "$@"; then echo "ok $name"; else echo "FAILED $name"; failed=1; fi
}

# venv NAME PYTHON PACKAGE...: a virtual environment in the cache with packages; prints its Python.
venv() {
    local place=$cache/$1 base=$2
    shift 2
    [ -e "$place/done" ] || { "$base" -m venv "$place" && "$place/bin/pip" install -q "$@" && touch "$place/done"; } \
        >"$place.log" 2>&1 || return 1
    echo "$place/bin/python"
}

# npm_packages PACKAGE...: in the folder node of the cache.
npm_packages() {
    command -v node >/dev/null && command -v npm >/dev/null || return 1
    mkdir -p "$cache/node"
    local package
    for package in "$@"; do
        [ -d "$cache/node/node_modules/$package" ] || npm install --prefix "$cache/node" "$package" >"$cache/npm.log" 2>&1 || return 1
    done
}

prepare() {
    if [ -z "$result" ]; then
        result=$cache/result/clip
        [ -e "$result/params.npz" ] || glot run "$here/../../examples/clip.mp4" --out "$cache/result" --no-render --quiet || exit 1
    fi
    local formats=glb,bvh
    "$PYTHON" -c 'import pxr' 2>/dev/null && formats+=,usd
    glot export "$result" --format "$formats" --out "$cache/plain" --quiet >/dev/null || exit 1
    glot export "$result" --format glb --hide --out "$cache/hidden" --quiet >/dev/null || exit 1
    formats=trc,mot,csv,coco
    "$PYTHON" -c 'import ezc3d' 2>/dev/null && formats+=,c3d
    "$PYTHON" -c 'import pyarrow' 2>/dev/null && formats+=,parquet
    glot export "$result" --format "$formats" --out "$cache/measured" --quiet >/dev/null || exit 1
    local video
    video=$("$PYTHON" -c 'import sys; from glot_cli.results import load_result; print(load_result(sys.argv[1]).meta.source)' \
        "$result")
    [ ! -e "$video" ] || glot export "$result" --format glb --video "$video" --out "$cache/still" --quiet >/dev/null || exit 1
    "$PYTHON" "$here/expected_bones.py" "$result" "$cache/expected.json" || exit 1
}

check_gltf_validator() {
    npm_packages gltf-validator || { skip gltf_validator "needs node, npm and its package gltf-validator"; return; }
    local file files=()
    for file in "$cache"/{plain,hidden,still}/*.glb; do [ ! -e "$file" ] || files+=("$file"); done
    check gltf_validator in_node validate_gltf.mjs "${files[@]}"
}

check_three() {
    npm_packages three || { skip three "needs node, npm and its package three"; return; }
    local kind
    for kind in plain hidden; do
        check "three ($kind)" in_node three_bones.mjs "$cache/$kind"/*.glb "$cache/expected.json"
    done
}

in_node() { (cd "$cache/node" && node "$here/$1" "${@:2}"); }

check_blender() {
    local python=${BPY_PYTHON:-} kind
    [ -n "$python" ] || python=$(venv bpy python3.11 bpy) || { skip blender "needs bpy; name a Python that has it in BPY_PYTHON"; return; }
    for kind in plain hidden; do
        check "blender ($kind)" "$python" "$here/blender_bones.py" "$cache/$kind" "$cache/expected.json"
    done
}

check_usd() {
    "$PYTHON" -c 'import pxr' 2>/dev/null || { skip usd "needs usd-core"; return; }
    check usd "$PYTHON" "$here/usd_bones.py" "$cache"/plain/*.usdc "$cache/expected.json"
}

check_bvh_parsers() {
    local python parser
    check "bvh (pymotion)" "$PYTHON" "$here/bvh_bones.py" pymotion "$cache/plain" "$cache/expected.json"
    python=$(venv bvh "$PYTHON" bvhio bvhsdk) || { skip bvh_parsers "needs bvhio and bvhsdk"; return; }
    for parser in bvhio bvhsdk; do
        check "bvh ($parser)" "$python" "$here/bvh_bones.py" "$parser" "$cache/plain" "$cache/expected.json"
    done
}

check_measured() {
    local python
    "$PYTHON" -c 'import ezc3d' 2>/dev/null || skip c3d "needs ezc3d"
    [ -z "$(compgen -G "$cache/measured/*.c3d")" ] || check c3d "$PYTHON" "$here/check_c3d.py" "$cache/measured"
    check coco "$PYTHON" "$here/check_coco.py" "$cache/measured"
    python=${OPENSIM_PYTHON:-$PYTHON}
    if "$python" -c 'import opensim' 2>/dev/null; then
        check opensim "$python" "$here/check_opensim.py" "$cache/measured"
    else
        skip opensim "needs opensim; name a Python that has it in OPENSIM_PYTHON"
    fi
    [ -n "$(compgen -G "$cache/measured/*.parquet")" ] || { skip tables "needs pyarrow"; return; }
    python=$(venv tables "$PYTHON" pandas pyarrow) || { skip tables "needs pandas"; return; }
    check tables "$python" "$here/check_tables.py" "$cache/measured"
}

check_view() {
    local place=$cache/playwright
    [ -e "$place/done" ] || { "$PYTHON" -m pip install -q --target "$place" playwright && touch "$place/done"; } \
        >"$place.log" 2>&1  # it has to be beside glot; the check says so where it is not
    check view env PYTHONPATH="$PYTHONPATH:$place" "$PYTHON" "$here/check_view.py" "$result"
}

prepare
check_gltf_validator
check_three
check_usd
check_bvh_parsers
check_measured
check_view
check_blender
exit "$failed"
