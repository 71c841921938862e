"""Real model servers, built or installed from the package registries, with tiny models of our own."""
import os
import pathlib
import shutil
import subprocess
import urllib.request

import installs
import stack
from client import wait_for

HERE = pathlib.Path(__file__).resolve().parent
LLAMA = "llama-cpp-python==0.3.36"  # its source distribution has llama.cpp, whole, below vendor/
CMAKE = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG",
         "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_OPENMP=OFF",
         "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
         "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF",
         "-DLLAMA_ALL_WARNINGS=OFF"]


def llama_server():
    """llama.cpp's server, built once: that takes 10 to 20 minutes on two cores."""
    def build(folder):
        source = next(installs.source_of(LLAMA).glob("vendor/llama.cpp"))
        ok = (installs.attempt(["cmake", "-S", str(source), "-B", str(folder / "out"), "-G", "Ninja",
                                *CMAKE], folder) and
              installs.attempt(["nice", "ninja", "-C", str(folder / "out"), "-j2", "llama-server"],
                               folder, 5400))
        if ok:
            shutil.copy2(folder / "out/bin/llama-server", folder / "llama-server")
            shutil.rmtree(folder / "out")
        return ok

    name = "build " + LLAMA
    if os.environ.get("SEALGATE_SUITES_NO_BUILD") and not installs.is_there(name):
        raise installs.Missing("llama.cpp's server is not built yet, and was not to be")
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        raise installs.Missing("cmake and g++ are needed to build llama.cpp's server")
    return installs.installed(name, build, float("inf")) / "llama-server"


class Server:
    """A model server's process in the form that stack.Stack wants of an engine."""
    mistakes = ()

    def __init__(self, command, port, folder, ready, env=None):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = pathlib.Path(folder) / "engine.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=folder, env={**os.environ, **(env or {})})
        try:
            wait_for(lambda: self.answers(ready))
        except BaseException:
            self.close()
            raise

    def answers(self, path):
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            return urllib.request.urlopen(self.url + path, timeout=5).status == 200
        except OSError:
            return False

    def close(self):
        """Some finish what nobody waits for before they end; theirs is not the end that is tested."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)


def llama(folder, *more):
    """llama.cpp's server with the model of tiny_gguf.py."""
    model, port = pathlib.Path(folder) / "tiny.gguf", stack.free_port()
    subprocess.run(["python3", str(HERE / "tiny_gguf.py"), str(model)], check=True)
    return Server([str(llama_server()), "-m", str(model), "--host", "127.0.0.1", "--port", str(port),
                   "-t", "1", "-c", "131072", "--parallel", "4", "--jinja", "--slots", *more], port,
                  folder, "/health")


def mlx(folder):
    """MLX's server on the processor, with the same model."""
    python, port = installs.python_with("mlx[cpu]", "mlx-lm"), stack.free_port()
    subprocess.run(["python3", str(HERE / "tiny_mlx.py"), folder], check=True)
    hub = pathlib.Path(folder) / "hub"  # it lists the models of a cache, which must be there
    hub.mkdir()
    return Server([str(python), "-m", "mlx_lm", "server", "--model", folder, "--host", "127.0.0.1",
                   "--port", str(port)], port, folder, "/health", {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub)})


def behind_the_gateway(engine, **settings):
    """A stack around an engine; the engine is closed with it."""
    try:
        made = stack.Stack(engine=engine, **settings)
    except BaseException:
        engine.close()
        raise
    made.own_engine = True
    return made
