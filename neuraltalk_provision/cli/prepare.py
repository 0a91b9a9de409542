"""`provision data prepare`: make the files that train.lua reads from pictures and captions."""

from __future__ import annotations

from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import data, options
from neuraltalk_provision.dataset import request
from neuraltalk_provision.dataset.request import Prepare, Tokens
from neuraltalk_provision.errors import EXIT_FINE, UsageError
from neuraltalk_provision.output import Output


def prepare(
    input_json: Annotated[
        list[str] | None,
        typer.Option(
            "--input_json",
            "--input-json",
            help="The captions: prepro.py's JSON, COCO's captions_*.json (give the option twice for both files), CSV, "
            "TSV, JSON or JSON Lines. Can be repeated.",
        ),
    ] = None,
    coco: Annotated[
        str, typer.Option("--coco", help="The directory that contains COCO's annotations/, train2014/ and val2014/.")
    ] = "",
    images_root: data.ImagesRoot = "",
    output_json: Annotated[
        str,
        typer.Option(
            "--output_json",
            "--output-json",
            help="The JSON file to write: the vocabulary and the names of the pictures.",
        ),
    ] = "data.json",
    output_h5: Annotated[
        str, typer.Option("--output_h5", "--output-h5", help="The HDF5 file to write: the pictures and the captions.")
    ] = "data.h5",
    num_val: Annotated[
        int | None,
        typer.Option("--num_val", "--num-val", help="The number of pictures for validation, counted as in prepro.py."),
    ] = None,
    num_test: Annotated[int, typer.Option("--num_test", "--num-test", help="The number of pictures for test.")] = 0,
    val_share: Annotated[
        float | None, typer.Option("--val_share", "--val-share", help="Instead of --num_val: a share, such as 0.05.")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option("--test_share", "--test-share", help="Instead of --num_test: a share.")
    ] = None,
    split_column: Annotated[
        str,
        typer.Option(
            "--split_column",
            "--split-column",
            help="The column that contains train, val or test; - ignores the splits in the captions file.",
        ),
    ] = "",
    file_column: Annotated[
        str,
        typer.Option("--file_column", "--file-column", help="The column of file names. Default: found by its name."),
    ] = "",
    caption_column: Annotated[
        str,
        typer.Option(
            "--caption_column", "--caption-column", help="The column of captions. Default: found by its name."
        ),
    ] = "",
    karpathy_split: Annotated[
        str,
        typer.Option(
            "--karpathy_split",
            "--karpathy-split",
            help="Take the splits from this file, such as Karpathy's dataset_coco.json.",
        ),
    ] = "",
    max_length: Annotated[
        int,
        typer.Option(
            "--max_length", "--max-length", help="The maximum number of words of a caption; longer captions are cut."
        ),
    ] = Prepare.max_length,
    word_count_threshold: Annotated[
        int,
        typer.Option(
            "--word_count_threshold",
            "--word-count-threshold",
            help="Words that occur more often than this are in the vocabulary; all others become UNK.",
        ),
    ] = Prepare.word_count_threshold,
    tokens: Annotated[
        Tokens, typer.Option("--tokens", help="words, or chars for languages without spaces, such as Chinese.")
    ] = Tokens.WORDS,
    set_aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Leave out pictures that cannot be read, instead of stopping with an error."),
    ] = False,
    jobs: data.Jobs = 0,
    host: data.Host = "",
    run_id: data.Id = "",
    detach: data.Detach = False,
    plan: options.Plan = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Write the HDF5 and JSON files that train.lua reads, as neuraltalk2's prepro.py does, and the annotations."""
    if coco and (input_json or images_root):
        raise UsageError("--coco already gives the captions and the pictures: leave out --input_json and --images_root")
    absolute = data.absolute_for(host)
    files, root = request.of_coco(absolute(coco)) if coco else (tuple(map(absolute, input_json or ())), images_root)
    wanted = Prepare(
        input_json=files,
        images_root=absolute(root) or request.beside(files),
        output_json=absolute(output_json),
        output_h5=absolute(output_h5),
        num_val=num_val,
        num_test=num_test,
        val_share=val_share,
        test_share=test_share,
        split_column=split_column,
        file_column=file_column,
        caption_column=caption_column,
        karpathy_split=absolute(karpathy_split),
        max_length=max_length,
        word_count_threshold=word_count_threshold,
        tokens=tokens,
        set_aside=set_aside,
        jobs=jobs,
    )
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    result = data.run_program("prepare", wanted, host, run_id, chosen, output, plan=plan, detach=detach)
    if result is not None:
        output.result(result)
        options_ = f"-input_h5 {wanted.output_h5} -input_json {wanted.output_json}"
        output.say(f"next: provision train --host {host or 'HOST'} -- {options_}")
    return EXIT_FINE
