"""One sync in a process of its own, so that it can be killed: `python -m tests.acceptance.channel_sync_process`."""

import stamina

from assets.inventory.channel_sync import Order, sync
from luxauto_pipelines.instance import reload
from tests.acceptance.channel_storm import open_quickly

if __name__ == "__main__":
    stamina.set_testing(True, attempts=4)
    sync(reload(), Order(), open_it=open_quickly)
