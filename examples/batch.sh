#!/usr/bin/env bash
# Run glot on every clip of a folder, one after the other, and say at the end which failed.
#
#     examples/batch.sh CLIPS RESULTS [options of glot run]
#
# Stopped and started again it goes on where it was: glot skips clips that are finished. To load the networks only
# once, give all clips to one `glot run`; this loop is for clips that come and go, or one process each.
# Exit status: 0 every clip came out, 1 some failed, 2 wrong usage.
set -uo pipefail

if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo "usage: $0 CLIPS RESULTS [options of glot run]; CLIPS is a folder of video files" >&2
    exit 2
fi
clips=$1 results=$2
shift 2

shopt -s nullglob nocaseglob
videos=("$clips"/*.{mp4,mov,m4v,avi,mkv,webm})
if [ ${#videos[@]} -eq 0 ]; then
    echo "$clips: holds no video (.mp4, .mov, .m4v, .avi, .mkv, .webm)" >&2
    exit 2
fi

failed=()
for video in "${videos[@]}"; do
    # Of two clips that differ in their suffix alone the second fails: both would write the same folder.
    glot run --out "$results" "$@" -- "$video" </dev/null
    status=$?
    if [ "$status" -eq 130 ]; then
        exit 130 # Ctrl-C ends the loop, not one clip
    elif [ "$status" -eq 2 ]; then
        exit 2 # the options are wrong, for the other clips too
    elif [ "$status" -ne 0 ]; then
        failed+=("$video")
    fi
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "${#failed[@]} of ${#videos[@]} clips failed:" >&2
    printf '  %s\n' "${failed[@]}" >&2
    exit 1
fi
