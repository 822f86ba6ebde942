"""Edits to a compose file, and which services `up` then recreates (or makes, or removes).

Docker Compose says the same wherever `docker` is not given: checked against it with tests/e2e/edits_of_docker. Where we
differ on purpose, `why` says so and `docker` is what it does.
"""

BASE = """\
name: edits
services:
  web:
    image: busybox:latest
    command: ["sleep", "1000"]
    init: true
    environment: {MODE: a, LEVEL: "1"}
    env_file: [web.env]
    labels: {tier: front}
    ports: ["127.0.0.1:18080:80"]
    expose: ["81"]
    volumes: ["data:/data", "./folder:/folder"]
    networks: {front: {aliases: [site]}}
    configs: [{source: conf, target: /conf}]
    secrets: [key]
    depends_on: [db]
    healthcheck: {test: ["CMD", "true"], interval: 30s}
    restart: unless-stopped
    stop_grace_period: 1s
    logging: {driver: json-file, options: {max-size: 1m}}
  db:
    image: busybox:latest
    command: ["sleep", "1000"]
    init: true
    networks: [front]
    volumes: ["db:/db"]
    stop_grace_period: 1s
  cache:
    image: busybox:latest
    command: ["sleep", "1000"]
    init: true
    oom_score_adj: 100
    stop_grace_period: 1s
    deploy: {resources: {limits: {memory: 64M, pids: 100}}}
networks:
  front: {}
volumes:
  data: {}
  db: {}
configs:
  conf: {file: ./conf.txt}
secrets:
  key: {file: ./key.txt}
"""

FILES = {"web.env": "FROM_FILE=1\n", "conf.txt": "conf 1\n", "key.txt": "key 1\n"}

WEB, DB, CACHE = "    environment: {MODE: a,", "    volumes: [\"db:/db\"]\n", "    oom_score_adj: 100\n"


def edit(name, old, new, recreated, file="compose.yaml", docker=None, why=""):
    return {"name": name, "old": old, "new": new, "recreated": recreated.split(), "file": file,
            "docker": recreated.split() if docker is None else docker.split(), "why": why}


DEPENDENT = ("2.26 makes a service anew when one it depends on is; ours touches it only if it shares that one's namespaces "
             "or volumes, or asks for it with depends_on's restart: true")
COUNTED = "2.26 counts depends_on into the hash; newer versions of Docker Compose do not, and we do not"

EDITS = [
    edit("nothing", "", "", ""),
    edit("a comment", "services:\n", "services:\n  # hello\n", ""),
    edit("order of keys", "    image: busybox:latest\n    command: [\"sleep\", \"1000\"]\n    init: true\n    oom",
         "    command: [\"sleep\", \"1000\"]\n    image: busybox:latest\n    init: true\n    oom", ""),
    edit("environment: value", "MODE: a", "MODE: b", "web"),
    edit("environment: new variable", "MODE: a", "MODE: a, MORE: x", "web"),
    edit("environment: one less", ", LEVEL: \"1\"", "", "web"),
    edit("environment: same as a list", "environment: {MODE: a, LEVEL: \"1\"}", "environment: [MODE=a, LEVEL=1]", ""),
    edit("env_file: value", "FROM_FILE=1", "FROM_FILE=2", "web", file="web.env"),
    edit("env_file: comment", "FROM_FILE=1", "# x\nFROM_FILE=1", "", file="web.env"),
    edit("config: content", "conf 1", "conf 2", "web", file="conf.txt", docker="",
         why="Docker Compose keeps the old content until something else recreates the container"),
    edit("secret: content", "key 1", "key 2", "web", file="key.txt", docker="",
         why="Docker Compose keeps the old content until something else recreates the container"),
    edit("command: list", "\"1000\"]\n    init: true\n    oom", "\"1001\"]\n    init: true\n    oom", "cache"),
    edit("command: the same as text", "[\"sleep\", \"1000\"]\n    init: true\n    oom", "sleep 1000\n    init: true\n    oom", ""),
    edit("entrypoint: new", CACHE, CACHE + "    entrypoint: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n", "cache"),
    edit("label: value", "tier: front", "tier: back", "web"),
    edit("label: new", CACHE, CACHE + "    labels: [a=b]\n", "cache"),
    edit("port: host", "18080:80", "18081:80", "web"),
    edit("port: container", "18080:80", "18080:82", "web"),
    edit("port: one less", "    ports: [\"127.0.0.1:18080:80\"]\n", "", "web"),
    edit("port: the same in long form", "ports: [\"127.0.0.1:18080:80\"]",
         "ports: [{target: 80, published: \"18080\", host_ip: 127.0.0.1, protocol: tcp, mode: ingress}]", ""),
    edit("expose", "[\"81\"]", "[\"82\"]", "web"),
    edit("volume: target", "data:/data", "data:/data2", "web"),
    edit("volume: read-only", "data:/data\"", "data:/data:ro\"", "web"),
    edit("volume: new bind", DB, "    volumes: [\"db:/db\", \"./folder:/x\"]\n", "db", docker="db web", why=DEPENDENT),
    edit("volume: one less", ", \"./folder:/folder\"]", "]", "web"),
    edit("volume: new and named", CACHE, CACHE + "    volumes: [\"data:/data\"]\n", "cache"),
    edit("volume: anonymous", CACHE, CACHE + "    volumes: [\"/scratch\"]\n", "cache"),
    edit("tmpfs", CACHE, CACHE + "    tmpfs: [/tmp]\n", "cache"),
    edit("network: alias", "aliases: [site]", "aliases: [place]", "web"),
    edit("network: second one", "    networks: [front]\n", "    networks: [front, default]\n", "db",
         docker="db web", why=DEPENDENT),
    edit("network: mode", CACHE, CACHE + "    network_mode: none\n", "cache"),
    edit("config: target", "target: /conf}", "target: /conf2}", "web"),
    edit("config: mode", "target: /conf}", "target: /conf, mode: 0400}", "web"),
    edit("secret: one less", "    secrets: [key]\n", "", "web"),
    edit("depends_on: condition", "depends_on: [db]", "depends_on: {db: {condition: service_started}}", ""),
    edit("depends_on: another", "depends_on: [db]", "depends_on: [db, cache]", "", docker="web", why=COUNTED),
    edit("depends_on: none", "    depends_on: [db]\n", "", "", docker="web", why=COUNTED),
    edit("healthcheck: test", "\"true\"]", "\"ls\"]", "web"),
    edit("healthcheck: interval", "interval: 30s", "interval: 31s", "web"),
    edit("healthcheck: the same interval", "interval: 30s", "interval: 0.5m", ""),
    edit("healthcheck: disabled", "{test: [\"CMD\", \"true\"], interval: 30s}", "{disable: true}", "web"),
    edit("restart", "unless-stopped", "always", "web"),
    edit("stop_grace_period", "    stop_grace_period: 1s\n    deploy", "    stop_grace_period: 2s\n    deploy", "cache"),
    edit("stop_signal", CACHE, CACHE + "    stop_signal: SIGINT\n", "cache"),
    edit("logging: option", "max-size: 1m", "max-size: 2m", "web"),
    edit("logging: driver", "{driver: json-file, options: {max-size: 1m}}", "{driver: local}", "web"),
    edit("memory", "64M", "65M", "cache"),
    edit("memory: the same in bytes", "64M", "\"67108864\"", ""),
    edit("limits of deploy", "pids: 100", "pids: 101", "cache"),
    edit("deploy: replicas alone", "deploy: {resources", "deploy: {replicas: 1, resources", ""),
    edit("scale alone", CACHE, CACHE + "    scale: 1\n", ""),
    edit("profiles alone", CACHE, CACHE + "    profiles: []\n", ""),
    edit("pull_policy alone", CACHE, CACHE + "    pull_policy: missing\n", ""),
    edit("user", CACHE, CACHE + "    user: \"1000\"\n", "cache"),
    edit("working_dir", CACHE, CACHE + "    working_dir: /tmp\n", "cache"),
    edit("hostname", CACHE, CACHE + "    hostname: box\n", "cache"),
    edit("init", "    init: true\n    oom", "    oom", "cache"),
    edit("read_only", CACHE, CACHE + "    read_only: true\n", "cache"),
    edit("cap_add", CACHE, CACHE + "    cap_add: [NET_ADMIN]\n", "cache"),
    edit("sysctls", CACHE, CACHE + "    sysctls: {net.core.somaxconn: 1024}\n", "cache"),
    edit("ulimits", CACHE, CACHE + "    ulimits: {nofile: 1000}\n", "cache"),
    edit("extra_hosts", CACHE, CACHE + "    extra_hosts: [\"a:10.0.0.1\"]\n", "cache"),
    edit("dns", CACHE, CACHE + "    dns: [10.0.0.1]\n", "cache"),
    edit("tty", CACHE, CACHE + "    tty: true\n", "cache"),
    edit("privileged", CACHE, CACHE + "    privileged: true\n", "cache"),
    edit("annotations", CACHE, CACHE + "    annotations: {a: b}\n", "cache"),
    edit("container_name", CACHE, CACHE + "    container_name: cache\n", "cache"),
    edit("group_add", CACHE, CACHE + "    group_add: [\"33\"]\n", "cache"),
    edit("mem_reservation", CACHE, CACHE + "    mem_reservation: 32m\n", "cache"),
    edit("cpu_shares", CACHE, CACHE + "    cpu_shares: 512\n", "cache"),
    edit("ipc", CACHE, CACHE + "    ipc: shareable\n", "cache"),
    edit("shm_size", CACHE, CACHE + "    shm_size: 32m\n", "cache"),
    edit("security_opt", CACHE, CACHE + "    security_opt: [no-new-privileges:true]\n", "cache"),
    edit("attach", CACHE, CACHE + "    attach: false\n", "cache"),
    edit("build beside image", CACHE, CACHE + "    build: {context: ., dockerfile_inline: FROM busybox}\n", ""),
    edit("develop", CACHE, CACHE + "    develop: {watch: [{path: ., action: restart}]}\n", "cache"),
    edit("deploy: update_config", "deploy: {resources", "deploy: {update_config: {order: start-first}, resources", "cache"),
    edit("deploy: restart_policy", "deploy: {resources", "deploy: {restart_policy: {condition: any}, resources", "cache"),
    edit("deploy: endpoint_mode", "deploy: {resources", "deploy: {endpoint_mode: dnsrr, resources", "cache"),
    edit("two services at once", "[\"sleep\", \"1000\"]", "[\"sleep\", \"1002\"]", "cache db web"),
    edit("x-extension", "services:\n", "x-note: hello\nservices:\n", ""),
]
