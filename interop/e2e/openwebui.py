#!/usr/bin/env python3
"""Chat in Open WebUI with a model that smelt wrote into an Ollama store.

  openwebui.py [--smelt FILE] [--out DIR]

Starts Ollama and Open WebUI on the loopback interface, each with folders of its own, converts SmolLM2's checkpoint to
ollama:smollm2, opens the page in headless Chromium, picks the model, asks a question and waits for the answer. Keeps a
screenshot in DIR and prints what was answered. Exits 1 where a step fails. Needs .ci/setup and .ci/setup openwebui.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(
    os.environ.get("SMELT_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "smelt"
)
QUESTION, WORD = "Name the capital of France.", "Paris"
MODEL = "smollm2:latest"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, env, log):
    """The program runs inside the with block; it and its children are ended after it."""
    with open(log, "wb") as out:
        p = subprocess.Popen(command, env=os.environ | env, stdout=out, stderr=out, start_new_session=True)
        try:
            yield p
        finally:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()


def wait(url, seconds, p):
    """Waits until url answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if p.poll() is not None:
            sys.exit(f"{p.args[0]} ended with {p.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url) as r:
            return r.read()
        time.sleep(0.5)
    sys.exit(f"{url} does not answer")


def chat(page, url, shot):
    """Asks the question in the page and returns the answer's text."""
    page.goto(url)
    page.get_by_text("Okay, Let's Go!").click(timeout=60_000)  # what is new covers the page at first
    page.get_by_label(f"Selected model: {MODEL}").wait_for()  # it lists one model and takes it
    page.locator("#chat-input").click()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    answer = page.locator(".chat-assistant").last
    answer.wait_for(timeout=120_000)
    page.wait_for_function("w => [...document.querySelectorAll('.chat-assistant')].pop()?.innerText.includes(w)", arg=WORD, timeout=120_000)
    page.screenshot(path=shot)
    return answer.inner_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smelt", type=pathlib.Path, default=ROOT / "bin" / "smelt")
    parser.add_argument("--out", type=pathlib.Path, default=CACHE / "openwebui-run")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        store, home, data = folder / "models", folder / "home", folder / "data"
        for d in (home, data):
            d.mkdir()
        ollama, webui = free_port(), free_port()
        models = CACHE / "models"
        env = {"HOME": str(home), "OLLAMA_MODELS": str(store), "OLLAMA_HOST": f"127.0.0.1:{ollama}", "OLLAMA_NO_CLOUD": "1"}
        subprocess.run(
            [args.smelt, "convert", models / "smollm2.pt", "ollama:smollm2", "--type", "q8_0", "--ollama-dir", store, "--tokenizer", models / "smollm2-hf"],
            check=True,
        )
        with running([CACHE / "ollama/ollama", "serve"], env, args.out / "ollama.log") as server:
            tags = json.loads(wait(f"http://127.0.0.1:{ollama}/api/tags", 30, server))
            print("Ollama lists", [m["name"] for m in tags["models"]])
            env = {
                "HOME": str(home), "DATA_DIR": str(data), "WEBUI_AUTH": "False", "OLLAMA_BASE_URL": f"http://127.0.0.1:{ollama}",
                "ENABLE_OPENAI_API": "False", "OFFLINE_MODE": "True", "HF_HUB_OFFLINE": "1", "RAG_EMBEDDING_MODEL_AUTO_UPDATE": "False",
                # it offers tools to every model otherwise, and Ollama refuses them for a template that has none
                "DEFAULT_MODEL_PARAMS": json.dumps({"function_calling": "legacy", "temperature": 0, "num_thread": os.cpu_count()}),
            }
            command = [CACHE / "openwebui/bin/open-webui", "serve", "--host", "127.0.0.1", "--port", str(webui)]
            with running(command, env, args.out / "openwebui.log") as page_server, sync_playwright() as playwright:
                wait(f"http://127.0.0.1:{webui}/health", 240, page_server)
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                try:
                    text = chat(page, f"http://127.0.0.1:{webui}", args.out / "chat.png")
                except Exception:
                    page.screenshot(path=args.out / "failed.png")
                    (args.out / "failed.html").write_text(page.content())
                    raise
                browser.close()
    print("asked:", QUESTION)
    print("answered:", text)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
