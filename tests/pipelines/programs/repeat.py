import json, sys
for line in sys.stdin:
    q = json.loads(line)
    if q["n"] == 0:
        print(json.dumps({"error": "nothing"}), flush=True)
    else:
        print(json.dumps({"value": q["text"] * q["n"]}), flush=True)
