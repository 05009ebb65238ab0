#!/usr/bin/env bash
# Run glot on every clip of a folder, one after the other, and say at the end which failed.
#
#     examples/batch.sh CLIPS RESULTS [options of glot run]
#
# A clip is a video file or a folder of images; what else is in CLIPS is left out and named.
# Stopped and started again it goes on where it was: glot skips clips that are finished. To load the networks only
# once, give all clips to one `glot run`; this loop is for clips that come and go, or one process each.
# Exit status: 0 every clip came out, 1 some failed, 2 wrong usage.
set -uo pipefail

if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo "usage: $0 CLIPS RESULTS [options of glot run]; CLIPS is a folder of videos or of folders of images" >&2
    exit 2
fi
clips=$1 results=$2
shift 2

video_kinds='264|265|3g2|3gp|asf|avi|dav|dv|f4v|flv|gif|h264|h265|hevc|ivf|m1v|m2t|m2ts|m2v|m4v|mjpeg|mjpg|mkv|mov'
video_kinds+='|mp4|mpe|mpeg|mpg|mts|mxf|nut|obu|ogm|ogv|qt|rm|rmvb|ts|vob|webm|wmv|wtv|y4m'
image_kinds='apng|bmp|jfif|jpe|jpeg|jpg|png|tif|tiff|webp'

shopt -s nullglob nocasematch
videos=() others=()
for entry in "$clips"/*; do
    if [ -d "$entry" ]; then
        images=0
        for file in "$entry"/*; do
            if [ -f "$file" ] && [[ $file =~ \.($image_kinds)$ ]]; then
                images=1
                break
            fi
        done
        if [ "$images" -eq 1 ]; then
            videos+=("$entry")
        elif [ ! "$entry" -ef "$results" ]; then
            others+=("$entry")
        fi
    elif [[ $entry =~ \.($video_kinds)$ ]]; then
        videos+=("$entry")
    else
        others+=("$entry")
    fi
done
if [ ${#videos[@]} -eq 0 ]; then
    echo "$clips: holds no video (.${video_kinds//|/, .}) and no folder of images (.${image_kinds//|/, .})" >&2
    exit 2
fi
if [ ${#others[@]} -gt 0 ]; then
    echo "left out, for they are no videos and no folders of images:" >&2
    printf '  %s\n' "${others[@]}" >&2
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
