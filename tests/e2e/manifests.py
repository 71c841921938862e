"""Kubernetes manifests: valid by the schemas of its versions, and of one piece.

    PYTHON manifests.py FOLDER OUT VERSION...

PYTHON has PyPI's kubernetes-validate, which brings the schemas. What ConfigMaps hold is written to
OUT/NAME.FILE. Prints a line for each check, as tests/e2e/suite.py counts them.
"""
import pathlib
import sys

import kubernetes_validate
import yaml

WORKLOADS = ("Deployment", "StatefulSet")


def documents(folder):
    for path in sorted(folder.glob("*.yaml")):
        for doc in yaml.safe_load_all(path.read_text()):
            if path.name != "kustomization.yaml":
                yield path.name, doc


def title(doc):
    return f"{doc['kind']} {doc['metadata']['name']}"


def schema_faults(docs, version):
    for file, doc in docs:
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as why:
            yield f"{file}: {title(doc)}: {'.'.join(map(str, why.path))}: {why.message}"


def template(doc):
    return doc["spec"]["template"]


def pod_faults(doc):
    """What the Pod Security Standard «restricted» wants, and a file system that is never written."""
    pod = template(doc)["spec"]
    if pod["securityContext"].get("runAsNonRoot") is not True:
        yield f"{title(doc)} may run as root"
    if pod["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{title(doc)} has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{title(doc)} gets a token it does not need"
    for c in pod["containers"] + pod.get("initContainers", []):
        context = c.get("securityContext", {})
        if (context.get("allowPrivilegeEscalation") is not False or
                context.get("readOnlyRootFilesystem") is not True or
                context.get("capabilities") != {"drop": ["ALL"]}):
            yield f"{title(doc)}: {c['name']} is not restricted"
        if ":" not in c["image"] or c["image"].endswith(":latest"):
            yield f"{title(doc)}: {c['name']} has an image without a version"
        if "memory" not in c["resources"]["limits"]:
            yield f"{title(doc)}: {c['name']} has no limit of memory"
    if any("hostPath" in v for v in pod.get("volumes", [])):
        yield f"{title(doc)} sees the node's files"


def ports_of(workload):
    return {p["name"]: p["containerPort"] for c in template(workload)["spec"]["containers"]
            for p in c.get("ports", [])}


def chosen(selector, workloads):
    return [w for w in workloads if selector.items() <= template(w)["metadata"]["labels"].items()]


def port_faults(doc, workloads):
    for c in template(doc)["spec"]["containers"]:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = c.get(probe, {}).get("httpGet") or c.get(probe, {}).get("tcpSocket")
            if asked and asked["port"] not in ports_of(doc):
                yield f"{title(doc)}: {probe} asks a port that is not there"


def service_faults(doc, workloads):
    there = chosen(doc["spec"]["selector"], workloads)
    if not there:
        yield f"{title(doc)} chooses no pod"
    for port in doc["spec"]["ports"]:
        if not all(port["targetPort"] in ports_of(w) for w in there):
            yield f"{title(doc)}: no pod has the port {port['targetPort']}"


def network_faults(doc, workloads):
    labels = doc["spec"]["podSelector"].get("matchLabels", {})
    there = chosen(labels, workloads)
    if not there:
        yield f"{title(doc)} chooses no pod"
    numbers = {n for w in there for n in ports_of(w).values()}
    for rule in doc["spec"].get("ingress", []):
        if not {p["port"] for p in rule["ports"]} <= numbers:
            yield f"{title(doc)} opens a port that is not there"
    for rule in doc["spec"].get("egress", []):
        for to in rule.get("to", []):
            if not chosen(to["podSelector"]["matchLabels"], workloads):
                yield f"{title(doc)} leads to no pod"


def budget_faults(doc, workloads):
    if not chosen(doc["spec"]["selector"]["matchLabels"], workloads):
        yield f"{title(doc)} chooses no pod"


def scaler_faults(doc, workloads):
    target = doc["spec"]["scaleTargetRef"]
    if f"{target['kind']} {target['name']}" not in map(title, workloads):
        yield f"{title(doc)} has no target"


def piece_faults(docs):
    workloads = [d for _, d in docs if d["kind"] in WORKLOADS]
    maps = {d["metadata"]["name"] for _, d in docs if d["kind"] == "ConfigMap"}
    looks = {"Service": service_faults, "NetworkPolicy": network_faults,
             "PodDisruptionBudget": budget_faults, "HorizontalPodAutoscaler": scaler_faults,
             "Deployment": port_faults, "StatefulSet": port_faults}
    for _, doc in docs:
        if doc["kind"] in looks:
            yield from looks[doc["kind"]](doc, workloads)
    for w in workloads:
        for v in template(w)["spec"].get("volumes", []):
            if "configMap" in v and v["configMap"]["name"] not in maps:
                yield f"{title(w)} has no ConfigMap {v['configMap']['name']}"


def kustom_faults(folder):
    listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
    there = {p.name for p in folder.glob("*.yaml")} - {"kustomization.yaml", "sidecar.yaml"}
    for name in listed ^ there:
        yield f"kustomization.yaml and the folder differ in {name}"


def say(sentence, faults):
    faults = list(faults)
    for fault in faults:
        print(f"     {fault}")
    print(f"{'FAIL' if faults else 'ok'} {sentence}")


def main(folder, out, *versions):
    folder = pathlib.Path(folder)
    docs = list(documents(folder))
    for version in versions:
        say(f"{len(docs)} manifests are valid for Kubernetes {version}", schema_faults(docs, version))
    say("pods are restricted, and write only where they are given room",
        (f for _, d in docs if d["kind"] in WORKLOADS for f in pod_faults(d)))
    say("services, budgets, scalers, rules and volumes lead somewhere", piece_faults(docs))
    say("the kustomization has every manifest", kustom_faults(folder))
    for _, doc in docs:
        for name, text in doc.get("data", {}).items() if doc["kind"] == "ConfigMap" else ():
            (pathlib.Path(out) / f"{doc['metadata']['name']}.{name}").write_text(text)


main(*sys.argv[1:])
