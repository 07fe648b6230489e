"""A build backend that builds nothing: the checkout is the product."""

MESSAGE = (
    "this project runs from its checkout: losses, studies and results are files that you add to. "
    "Clone it, `python -m pip install -r requirements.txt`, and `python -m harness` there"
)


def _refuse(*_args: object, **_kwargs: object) -> str:
    raise SystemExit(MESSAGE)


build_wheel = build_sdist = build_editable = _refuse
