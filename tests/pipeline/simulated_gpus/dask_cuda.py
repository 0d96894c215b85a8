"""As much of dask-cuda as reconflow uses, of 26.10: a worker for each GPU, which comes first in what it sees."""

import copy

from distributed import LocalCluster


class LocalCUDACluster(LocalCluster):
    def __init__(self, CUDA_VISIBLE_DEVICES=None, n_workers=None, threads_per_worker=1, memory_limit="auto", **kwargs):
        self.cuda_visible_devices = [int(gpu) if gpu.isdigit() else gpu for gpu in CUDA_VISIBLE_DEVICES]
        super().__init__(
            n_workers=0, threads_per_worker=threads_per_worker, memory_limit=memory_limit, processes=True, **kwargs
        )
        self.scale(n_workers)
        self.sync(self._correct_state)

    def new_worker_spec(self):
        name = min(set(self.cuda_visible_devices) - set(self.worker_spec))
        place = self.cuda_visible_devices.index(name)
        own_first = self.cuda_visible_devices[place:] + self.cuda_visible_devices[:place]
        spec = copy.deepcopy(self.new_spec)
        spec["options"]["preload"] = ["torch_on_gpus"]
        spec["options"]["env"] = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, own_first))}
        return {name: spec}
