# llama.cpp on the models that gguf_gpt.py wrote: python3 llama.py FOLDER WORKLOAD COMMAND..., where COMMAND is llama-bench
import json, os, resource, subprocess, sys

folder, workload, *command = sys.argv[1:]
model, depth, tokens = {"W6.decode": ("w6", 64, 128), "W7.decode": ("w7", 256, 64)}[workload]
threads = os.environ["OMP_NUM_THREADS"]
out = subprocess.run([*command, "-m", f"{folder}/{model}.gguf", "-p", "0", "-n", str(tokens), "-d", str(depth), "-t", threads, "-r", "5", "-o", "json"],
                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
ms = sorted(ns / 1e6 / tokens for ns in json.loads(out)[0]["samples_ns"])
rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps({"peer": "llama.cpp", "workload": workload, "threads": int(threads), "median_ms": ms[len(ms) // 2], "min_ms": ms[0], "rss_mb": rss, "n": len(ms)}))
