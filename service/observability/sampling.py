"""Which traces are kept: as `OTEL_TRACES_SAMPLER` says, but a caller's "not sampled" does not switch our tracing
off."""

from collections.abc import Mapping

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased


def sampler(environ: Mapping[str, str]) -> Sampler:
    """The sampler. It follows a remote parent that is sampled, and asks the root sampler about one that is not.

    The ratio depends on the trace id alone, so an accept and its first attempt are sampled alike.
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower()
    root = _root(name.removeprefix("parentbased_"), environ.get("OTEL_TRACES_SAMPLER_ARG", "1"))
    return ParentBased(root, remote_parent_not_sampled=root) if name.startswith("parentbased_") else root


def _root(name: str, argument: str) -> Sampler:
    match name:
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            return TraceIdRatioBased(float(argument))
        case _:
            raise ValueError(f"OTEL_TRACES_SAMPLER {name!r} is unknown; try parentbased_traceidratio.")
