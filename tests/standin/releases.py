"""The differences between releases of CUDA that a stand-in toolkit imitates."""

from __future__ import annotations

from dataclasses import dataclass

ARCHITECTURES = (
    20, 21, 30, 32, 35, 37, 50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 101, 103, 110, 120, 121,
)  # fmt: skip


@dataclass(frozen=True)
class Release:
    """One release: the version that nvcc prints, its year, and what it supports.

    `least` and `greatest` are architectures, `gcc` is the newest compiler, `driver` the oldest driver that works.
    """

    version: str
    year: int
    least: int
    greatest: int
    gcc: str
    driver: str

    @property
    def number(self) -> int:
        """CUDA_VERSION: 7050 for 7.5."""
        major, minor = self.numbers
        return major * 1000 + minor * 10

    @property
    def numbers(self) -> tuple[int, int]:
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    @property
    def architectures(self) -> tuple[int, ...]:
        """The architectures that nvcc can build for."""
        return tuple(arch for arch in ARCHITECTURES if self.least <= arch <= self.greatest)

    @property
    def sonames(self) -> dict[str, str]:
        """The version after `.so.` in the soname of each library; since 10.1 these versions differ."""
        major, minor = self.numbers
        plain = f"{major}.{minor}"
        if (major, minor) < (10, 1):
            return dict.fromkeys(("cudart", "cublas", "curand", "cusparse"), plain)
        cudart = {10: plain, 11: "11.0"}.get(major, f"{major}")
        return {"cudart": cudart, "cublas": f"{major}", "curand": "10", "cusparse": f"{min(major, 12)}"}


RELEASES: dict[str, Release] = {
    ".".join(release.version.split(".")[:2]): release
    for release in (
        Release("7.5.17", 2015, 20, 53, "4.9", "352.31"),
        Release("8.0.61", 2016, 20, 62, "5", "367.48"),
        Release("9.0.176", 2017, 30, 70, "6", "384.81"),
        Release("9.1.85", 2017, 30, 72, "6", "390.46"),
        Release("9.2.148", 2018, 30, 72, "7", "396.26"),
        Release("10.0.130", 2018, 30, 75, "7", "410.48"),
        Release("10.1.243", 2019, 30, 75, "8", "418.39"),
        Release("10.2.89", 2019, 30, 75, "8", "440.33"),
        Release("11.0.221", 2020, 35, 80, "9", "450.36.06"),
        Release("11.1.105", 2020, 35, 86, "10", "450.80.02"),
        Release("11.4.152", 2021, 35, 87, "11", "450.80.02"),
        Release("11.8.89", 2022, 35, 90, "11", "450.80.02"),
        Release("12.0.140", 2023, 50, 90, "12", "525.60.13"),
        Release("12.4.131", 2024, 50, 90, "13", "525.60.13"),
        Release("12.8.93", 2025, 50, 120, "14", "525.60.13"),
        Release("13.0.88", 2025, 75, 121, "15", "580.65.06"),
    )
}
