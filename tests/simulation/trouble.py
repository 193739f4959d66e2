"""What befalls processes and machines at work: they sleep, are cut off, die, and have their clocks set."""

from attrs import define


@define(eq=False)
class Trouble:
    """Strikes as the seed says, every so often."""

    world: object

    def strike(self):
        """Let happen what is to happen now, and start again what died."""
        world = self.world
        self._strike_workers()
        self._strike_servers()
        if world.luck.strikes("servers/clock set", world.chances["server clock set"]):
            # They share a machine, or a time server: their clocks agree.
            world.server_step += world.luck.between("servers/step", -4000.0, 4000.0)
            for server in world.servers:
                server.host.step_seconds = world.server_step
        world.restart_the_dead()

    def _strike_workers(self):
        world, luck, chances = self.world, self.world.luck, self.world.chances
        for worker in list(world.workers.values()):
            host, name = worker.host, worker.host.name
            if host.dead or host.resumes_at > world.timeline.now:
                continue
            if luck.strikes(f"{name}/suspended", chances["worker suspended"]):
                host.suspend(luck.between(f"{name}/asleep", 5.0, 400.0), counted=luck.switched_on("counted sleep"))
            if luck.strikes(f"{name}/partitioned", chances["worker partitioned"]):
                world.partitions[name] = world.timeline.now + luck.between(f"{name}/alone", 5.0, 400.0)
            if luck.strikes(f"{name}/unanswered", chances["worker unanswered"]):
                world.unanswered[name] = world.timeline.now + luck.between(f"{name}/how long unanswered", 5.0, 400.0)
            if luck.strikes(f"{name}/one link partitioned", chances["one link partitioned"]):
                number = 1 + int(luck.between(f"{name}/which link", 0, world.conditions.servers))
                until = world.timeline.now + luck.between(f"{name}/link alone", 5.0, 400.0)
                world.partitions[name, f"server {number}"] = until
            if luck.strikes(f"{name}/clock set", chances["worker clock set"]):
                host.step_seconds += luck.between(f"{name}/step", -4000.0, 4000.0)
            if luck.strikes(f"{name}/dropped", chances["worker dropped"]):
                worker.loop.drop()
            if luck.strikes(f"{name}/dies", chances["worker dies"]):
                host.kill()

    def _strike_servers(self):
        world, luck, chances = self.world, self.world.luck, self.world.chances
        for server in list(world.servers):
            host, name = server.host, server.host.name
            if luck.strikes(f"{name}/suspended", chances["server suspended"]):
                host.suspend(luck.between(f"{name}/asleep", 5.0, 400.0), counted=luck.switched_on("counted sleep"))
            if luck.strikes(f"{name}/restarts", chances["server restarts"]):
                world.server_died(server)
        if world.disk is not None and luck.strikes("disk/power cut", chances["power cut"]):
            world.disk.cut()
            world.come_back_from_power_cut()
