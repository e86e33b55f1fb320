import pytest

from ft_assets.training.device_peaks import GIGA, TERA, measured_cpu_peak, peak_flops, peak_of


@pytest.mark.parametrize(
    ("name", "tera", "gigabytes"),
    [
        ("NVIDIA H200", 989, 141),
        ("NVIDIA H100 80GB HBM3", 989, 80),
        ("NVIDIA H100 PCIe", 756, 80),
        ("NVIDIA-A100-SXM4-40GB", 312, 40),
        ("NVIDIA A100 80GB PCIe", 312, 80),
        ("NVIDIA L4", 121, 24),
        ("NVIDIA L40S", 362, 48),
        ("NVIDIA GeForce RTX 4090", 165, 24),
        ("NVIDIA A10G", 70, 24),
    ],
)
def test_a_card_is_found_under_the_names_that_tools_print(name, tera, gigabytes):
    peak = peak_of(name)
    assert peak is not None
    assert (peak.flops, peak.memory_bytes) == (tera * TERA, gigabytes * GIGA)


@pytest.mark.parametrize("name", ["Tesla T4", "NVIDIA H2000", "", "Intel(R) Xeon(R)"])
def test_a_card_that_is_not_in_the_table_has_no_peak(name):
    assert peak_flops(name) is None


@pytest.mark.torch
def test_the_peak_of_a_cpu_is_measured_and_grows_with_its_threads():
    one = measured_cpu_peak("float32", 1)
    assert 1e9 < one < 1e13
    assert measured_cpu_peak("float32", 2) > one
