"""On PYTHONPATH this makes every process one on a CPU that does not compute in bfloat16, so all of it is float32."""

import ft_assets.compute

ft_assets.compute.CPU_FLAGS_OF_BF16 = set()
