# SPDX-License-Identifier: Apache-2.0
"""toxiproxy: a TCP proxy with faults, driven over its HTTP API."""
import json
import urllib.request

from . import proc, tools


class Toxiproxy:
    """The server; proxy(upstream_port) gives a Proxy."""

    def __init__(self, folder):
        self.port = proc.free_port()
        self.proc = proc.Proc([tools.need('toxiproxy-server'), '-host', '127.0.0.1', '-port', self.port],
                              folder / 'toxiproxy.log', proc.clean_env({'LOG_LEVEL': 'error'}))
        proc.wait_port(self.port, self.proc)

    def call(self, method, path, body=None):
        req = urllib.request.Request(f'http://127.0.0.1:{self.port}{path}', method=method,
                                     data=None if body is None else json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(req, timeout=10) as r:
            text = r.read()
        return json.loads(text) if text else None

    def proxy(self, upstream_port):
        return Proxy(self, upstream_port)

    def stop(self):
        self.proc.kill()


class Proxy:
    """One listening port in front of an upstream port of 127.0.0.1.  Context manager."""

    def __init__(self, server, upstream_port):
        self.server, self.port = server, proc.free_port()
        self.name = f'p{self.port}'
        server.call('POST', '/proxies', {'name': self.name, 'listen': f'127.0.0.1:{self.port}',
                                         'upstream': f'127.0.0.1:{upstream_port}', 'enabled': True})
        self._n = 0

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def toxic(self, kind, stream='downstream', toxicity=1.0, **attributes):
        """Add a toxic; returns its name (for remove)."""
        self._n += 1
        name = f't{self._n}'
        self.server.call('POST', f'/proxies/{self.name}/toxics', {
            'name': name, 'type': kind, 'stream': stream, 'toxicity': toxicity, 'attributes': attributes})
        return name

    def remove(self, name):
        self.server.call('DELETE', f'/proxies/{self.name}/toxics/{name}')

    def latency(self, ms):
        """That many milliseconds a round trip (half each way)."""
        return [self.toxic('latency', 'upstream', latency=ms // 2),
                self.toxic('latency', 'downstream', latency=ms - ms // 2)]

    def reset(self, after_ms=0, toxicity=1.0):
        """Connections end with a RST."""
        return self.toxic('reset_peer', timeout=after_ms, toxicity=toxicity)

    def truncate(self, size_bytes):
        """Connections close after that many bytes of answer."""
        return self.toxic('limit_data', bytes=size_bytes)

    def stall(self):
        """Nothing comes back and nothing closes."""
        return self.toxic('timeout', timeout=0)

    def down(self):
        """Connection refused, and the open ones closed."""
        self.server.call('POST', f'/proxies/{self.name}', {'enabled': False})

    def up(self):
        """Listening again, without any toxic."""
        for t in self.server.call('GET', f'/proxies/{self.name}/toxics'):
            self.remove(t['name'])
        self.server.call('POST', f'/proxies/{self.name}', {'enabled': True})

    def close(self):
        self.server.call('DELETE', f'/proxies/{self.name}')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
