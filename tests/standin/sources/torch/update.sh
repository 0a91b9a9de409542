#!/usr/bin/env bash
echo "stand-in: there is nothing to update" >&2
exit 1
