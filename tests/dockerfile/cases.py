"""The Dockerfile language as a table: for each instruction and flag a file, its context and what is special about it.

What an image has to look like is in expected.json, recorded from Docker (BuildKit) by `tests/dockerfile/record`. Cases
with `reference` are not in the BuildKit that the recording had; what they expect is written by hand from the Dockerfile
reference. Cases with `error` must be refused, with that text in the message, by Docker too unless `ours` says why not.
"""
from dataclasses import dataclass, field


@dataclass
class Case:
    name: str
    text: str
    files: dict = field(default_factory=dict)   # path -> text, or one of the makers below
    build: dict = field(default_factory=dict)   # more keys of `build:`
    error: str = ""                             # a part of our message: the build must fail
    reference: bool = False                     # expected.json was written by hand for it
    ours: str = ""                              # error cases Docker answers otherwise: why
    command: tuple = ()                         # more arguments of `compose build`


def file(text, mode=0o644):
    return ("file", text, mode)


def folder(mode=0o755):
    return ("folder", mode)


def link(target):
    return ("link", target)


def archive(compression, **entries):
    """A tar with these files: name -> (text, mode, uid, gid), or a name that ends with "/" for a folder."""
    return ("archive", compression, entries)


TREE = {"src/a.txt": "a\n", "src/b.log": "b\n", "src/sub/c.txt": "c\n", "src/sub/deep/d.txt": "d\n",
        "src/run.sh": file("#!/bin/sh\n", 0o755), "src/secret": file("s", 0o600), "src/link": link("a.txt"),
        "src/private": folder(0o700), "src/private/p": "p", "top.txt": "top\n"}

TAR = {"in.tar": archive("", **{"one": ("1", 0o640, 12, 34), "dir/two": ("2", 0o755, 0, 0)}),
       "in.tar.gz": archive("gz", **{"gzip": ("g", 0o644, 1, 2)}),
       "in.tar.xz": archive("xz", **{"xz": ("x", 0o644, 3, 4)}),
       "in.tar.bz2": archive("bz2", **{"bz": ("z", 0o644, 5, 6)})}

CASES = []


def case(name, text, *arguments, **options):
    CASES.append(Case(name, text.lstrip("\n"), *arguments, **options))


# FROM, stages, targets
case("from-scratch", "FROM scratch\nCOPY top.txt /\n", TREE)
case("from-as", "FROM busybox AS Base\nENV A=1\nFROM base\nENV B=2\n")
case("from-number", "FROM busybox\nRUN echo x > /x\nFROM scratch\nCOPY --from=0 /x /y\n")
case("from-arg", "ARG IMAGE=busybox\nARG TAG\nFROM ${IMAGE}:${TAG:-latest}\nLABEL ok=1\n")
case("from-build-arg", "ARG IMAGE=nothing\nFROM $IMAGE\nLABEL ok=1\n", build={"args": {"IMAGE": "busybox"}})
case("from-platform", "FROM --platform=$BUILDPLATFORM busybox\nLABEL ok=1\n")
case("from-lower-case", "from busybox as x\nenv a=b\nrun echo 1 > /f\ncmd [\"x\"]\n")
case("from-empty", "ARG I\nFROM $I\n", error="has no value")
case("from-missing-stage", "FROM busybox AS a\nFROM builder-test-nowhere/none\n", error="builder-test-nowhere/none")
case("from-three-words", "FROM busybox as\n", error="FROM")
case("from-duplicate-flag", "FROM --platform=linux/amd64 --platform=linux/amd64 busybox\n", error="platform")
case("no-from", "RUN true\n", error="FROM")
case("empty-file", "# nothing\n", error="no instruction")
case("stage-name-bad", "FROM busybox AS 1x\n", error="name")
case("target", "FROM busybox AS one\nLABEL stage=one\nFROM busybox AS two\nLABEL stage=two\n", build={"target": "one"})
case("target-case", "FROM busybox AS One\nLABEL stage=one\nFROM busybox AS two\nRUN false\n", build={"target": "ONE"})
case("target-number", "FROM busybox\nLABEL stage=zero\nFROM busybox\nRUN false\n", build={"target": "0"}, reference=True)
case("target-missing", "FROM busybox AS one\n", build={"target": "ono"}, error="did you mean \"one\"")
case("unneeded-stage", "FROM busybox AS no\nRUN false\nFROM busybox\nLABEL x=1\n")
case("stages-in-a-chain", """
FROM busybox AS one
WORKDIR /one
ENV A=1
RUN echo 1 > f
FROM one AS two
RUN echo 2 > g && cat f >> g
FROM two
COPY --from=one /one/f /h
USER user
""")
case("stage-resets-shell-and-args", """
FROM busybox AS one
ARG X=1
SHELL ["/bin/sh", "-e", "-c"]
FROM one
RUN echo "[$X]" > /x
""")

# ARG and ENV
case("arg-default", "FROM busybox\nARG A=1\nARG B=${A}2\nRUN echo $A $B > /f\n")
case("arg-given", "FROM busybox\nARG A=1\nRUN echo $A > /f\n", build={"args": {"A": "given"}})
case("arg-not-declared", "FROM busybox\nRUN echo [$A] > /f\n", build={"args": {"A": "given"}})
case("arg-several", "FROM busybox\nARG A=1 B=\"two words\" C\nRUN echo \"$A|$B|$C\" > /f\n")
case("arg-global", "ARG G=global\nFROM busybox\nRUN echo [$G] > /a\nARG G\nRUN echo [$G] > /b\n")
case("arg-global-override", "ARG G=global\nFROM busybox\nARG G=stage\nRUN echo [$G] > /b\n")
case("arg-global-given", "ARG G=global\nFROM busybox\nARG G=stage\nRUN echo [$G] > /b\n", build={"args": {"G": "given"}})
case("arg-env-wins", "FROM busybox\nARG A=arg\nENV A=env\nRUN echo $A > /f\nENV B=$A\n", build={"args": {"A": "given"}})
case("arg-then-env", "FROM busybox\nARG V\nENV V=${V:-v1.0.0}\nRUN echo $V > /f\n")
case("arg-predefined", "FROM busybox\nRUN echo \"[$HTTP_PROXY][$no_proxy]\" > /f\n",
     build={"args": {"HTTP_PROXY": "http://p", "no_proxy": "x"}})
case("arg-platform", "FROM busybox\nARG TARGETPLATFORM\nARG TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM\n"
     "RUN echo $TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT] $BUILDPLATFORM > /f\n")
case("arg-platform-undeclared", "FROM busybox\nRUN echo [$TARGETPLATFORM] > /f\n")
case("arg-platform-in-from", "FROM busybox AS linux-x\nLABEL a=1\nFROM ${TARGETOS}-x\nLABEL b=2\n")
case("arg-used-by-copy", "FROM busybox\nARG F=top.txt D=/to\nCOPY ${F} ${D}/\n", TREE)
case("arg-in-onbuild-parent", "FROM busybox\nARG A=1\nFROM busybox\nRUN echo [$A] > /f\n")
case("env-forms", r"""
FROM busybox
ENV A=1 B="two words" C=three\ words D='single $A' E="double $A"
ENV OLD the rest of the line
ENV F=$A-${B} G=${NONE:-default} H=${A:+set} I=${NONE:+set} J=\$A
ENV K="quote\"d" L=a"b c"d M=${NONE}
""")
case("env-same-line", "FROM busybox\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n")
case("env-modifiers", r"""
FROM busybox
ENV P=/usr/local/lib/x.tar.gz
ENV A=${P#*/} B=${P##*/} C=${P%.*} D=${P%%.*} E=${P/usr/opt} F=${P//l/L}
ENV U=${UNSET-unset} V=${P+plus}
""")
case("env-required", "FROM busybox\nENV A=${NONE:?give it}\n", error="give it")
case("env-empty-value", "FROM busybox\nENV A= B=\"\"\n")
case("env-no-value", "FROM busybox\nENV A\n", error="ENV")
case("env-empty-name", "FROM busybox\nENV =x\n", error="empty name")
case("env-path", "FROM busybox\nENV PATH=/x:$PATH\n")
case("env-mixed", "FROM busybox\nENV A=1 B\n", error="B")
case("env-continued", "FROM busybox\nENV A=1 \\\n  # a comment\n  B=2 \\\n\n  C=3\n")
case("env-braces", "FROM busybox\nENV foo=/bar\nWORKDIR ${foo}\nADD . $foo\nCOPY top.txt /q\n", {"top.txt": "t"})

# LABEL, MAINTAINER, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL
case("label-forms", r"""
FROM busybox
LABEL a=1 "b c"="d e" com.example.x="several \
lines"
LABEL old value here
ARG V=7
LABEL v=$V w='$V' x="$V"
""")
case("label-of-build", "FROM busybox\nLABEL a=file b=file\n", build={"labels": {"a": "build", "c": "build"}})
case("maintainer", "FROM busybox\nMAINTAINER Some One <some@example.com>\n")
case("expose", "FROM busybox\nARG P=9000\nEXPOSE 80 443/tcp 53/udp 8000-8002 $P/tcp\n")
case("expose-twice", "FROM busybox\nEXPOSE 80\nEXPOSE 80/tcp 81\n")
case("expose-bad", "FROM busybox\nEXPOSE eighty\n", error="eighty")
case("volume-list", "FROM busybox\nVOLUME /a /b\nVOLUME [\"/c d\", \"/e\"]\nENV V=/var\nVOLUME $V/f\n")
case("volume-json-words", "FROM busybox\nVOLUME [\"/a\"]\n")
case("volume-then-write", "FROM busybox\nVOLUME /data\nRUN mkdir -p /data && echo x > /data/x\n")
case("user-forms", "FROM busybox\nARG U=user\nUSER $U\nRUN id -u > /tmp/id\n")
case("user-numeric", "FROM busybox\nUSER 12:34\nRUN id -u > /tmp/u && id -g > /tmp/g\n")
case("user-group-name", "FROM busybox\nUSER user:root\nRUN id -g > /tmp/g\n")
case("user-unknown", "FROM busybox\nUSER nobody99\nRUN true\n", error="nobody99")
case("user-home", "FROM busybox\nUSER user\nRUN echo $HOME > /tmp/home\n")
case("workdir-relative", "FROM busybox\nWORKDIR /a\nWORKDIR b\nWORKDIR ./c/../d\nRUN pwd > f\n")
case("workdir-variable", "FROM busybox\nENV DIR=/path\nARG SUB=sub\nWORKDIR $DIR/$SUB\nRUN pwd > /f\n")
case("workdir-user", "FROM busybox\nUSER user\nWORKDIR /made/by\n")
case("workdir-exists", "FROM busybox\nRUN mkdir -m 700 /w && chown 5:6 /w\nWORKDIR /w\n")
case("workdir-trailing", "FROM busybox\nWORKDIR /a/b/\n")
case("workdir-none", "FROM busybox\nRUN pwd > /f\n")
case("workdir-from-base", "FROM busybox AS one\nWORKDIR /x\nFROM one\nWORKDIR y\nCOPY top.txt .\n", TREE)
case("workdir-link", "FROM busybox\nRUN mkdir /real && ln -s real /sym\nWORKDIR /sym/in\nRUN echo 1 > f\n")
case("stopsignal", "FROM busybox\nSTOPSIGNAL SIGQUIT\n")
case("stopsignal-number", "FROM busybox\nARG S=9\nSTOPSIGNAL $S\n")
case("stopsignal-bad", "FROM busybox\nSTOPSIGNAL SIGNOTHING\n", error="SIGNOTHING")

# CMD, ENTRYPOINT, SHELL, HEALTHCHECK
case("cmd-exec", "FROM busybox\nCMD [\"a\", \"b c\", \"\\u00e9\"]\n")
case("cmd-shell", "FROM busybox\nENV A=1\nCMD echo $A \"x y\"\n")
case("cmd-last-wins", "FROM busybox\nCMD one\nCMD [\"two\"]\n")
case("cmd-not-json", "FROM busybox\nCMD ['a', 'b']\n")
case("cmd-empty-list", "FROM busybox\nCMD []\n")
case("entrypoint-exec", "FROM busybox\nENTRYPOINT [\"e\", \"f\"]\nCMD [\"c\"]\n")
case("entrypoint-shell", "FROM busybox\nENTRYPOINT exec top -b\n")
case("entrypoint-resets-cmd", "FROM busybox AS one\nCMD [\"base\"]\nFROM one\nENTRYPOINT [\"e\"]\n")
case("entrypoint-keeps-own-cmd", "FROM busybox AS one\nCMD [\"base\"]\nFROM one\nCMD [\"own\"]\nENTRYPOINT [\"e\"]\n")
case("entrypoint-empty", "FROM busybox AS one\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\nFROM one\nENTRYPOINT []\n")
case("shell", "FROM busybox\nSHELL [\"/bin/sh\", \"-x\", \"-c\"]\nRUN echo $0 > /f\nCMD hello\nENTRYPOINT hi\n")
case("shell-bad", "FROM busybox\nSHELL /bin/sh -c\n", error="SHELL")
case("healthcheck", "FROM busybox\nHEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --retries=4 CMD wget -q x || exit 1\n")
case("healthcheck-exec", "FROM busybox\nHEALTHCHECK CMD [\"true\", \"x\"]\n")
case("healthcheck-start-interval", "FROM busybox\nHEALTHCHECK --start-interval=2s CMD true\n")
case("healthcheck-none", "FROM busybox AS one\nHEALTHCHECK CMD x\nFROM one\nHEALTHCHECK NONE\n")
case("healthcheck-bad", "FROM busybox\nHEALTHCHECK --interval=fast CMD x\n", error="interval")
case("healthcheck-unknown", "FROM busybox\nHEALTHCHECK DO x\n", error="DO")
case("healthcheck-short", "FROM busybox\nHEALTHCHECK --interval=1us CMD x\n", error="interval")

# ONBUILD
case("onbuild", "FROM busybox\nONBUILD RUN echo x > /x\nONBUILD COPY . /app\nONBUILD ENV A=\"b c\"\n")
case("onbuild-runs", "FROM busybox AS parent\nONBUILD RUN echo x > /x\nONBUILD ENV A=1\nFROM parent\nRUN echo $A > /a\n")
case("onbuild-onbuild", "FROM busybox\nONBUILD ONBUILD RUN x\n", error="ONBUILD")
case("onbuild-from", "FROM busybox\nONBUILD FROM x\n", error="FROM")
case("onbuild-unknown", "FROM busybox\nONBUILD FETCH x\n", error="FETCH", ours="BuildKit finds it in the build of the child")

# RUN
case("run-shell", "FROM busybox\nRUN echo \"a   b\" > /f; echo $0 >> /f\n")
case("run-exec", "FROM busybox\nRUN [\"/bin/sh\", \"-c\", \"echo $HOME > /f\"]\n")
case("run-continued", "FROM busybox\nRUN echo one \\\n    two \\\n# gone\n    three > /f\n")
case("run-quotes", "FROM busybox\nRUN echo 'a $HOME' \"b\\\"c\" \\$X > /f\n")
case("run-fails", "FROM busybox\nRUN exit 3\n", error="exit code 3")
case("run-empty", "FROM busybox\nRUN\n", error="RUN", ours="a RUN of nothing is a mistake")
case("run-removes", "FROM busybox\nRUN rm /bin/vi && rm -r /root && ln -s x /l && ln /bin/busybox /bin/hard\n")
case("run-replaces", "FROM busybox\nRUN rm -r /root && echo f > /root\nRUN rm /root && mkdir /root && echo g > /root/g\n")
case("run-modes", "FROM busybox\nRUN umask 077; echo 1 > /a; mkdir /b; chmod 4755 /a; chmod 1777 /b; mkfifo /p; mknod /n c 1 3; chown -h 7:8 /a\n")
case("run-environment", "FROM busybox\nENV A=1\nARG B=2\nRUN env | grep -v -e HOSTNAME -e SHLVL | sort > /f\n")
case("run-network-none", "FROM busybox\nRUN --network=none ls /sys/class/net | grep -c . > /f\n")
case("run-network-host", "FROM busybox\nRUN --network=host true\n", error="network.host")
case("run-network-bad", "FROM busybox\nRUN --network=what true\n", error="what")
case("run-security-insecure", "FROM busybox\nRUN --security=insecure true\n", error="security.insecure")
case("run-flag-unknown", "FROM busybox\nRUN --often x\n", error="--often")
case("run-mount-points", "FROM busybox\nRUN --mount=type=tmpfs,target=/mnt/t --mount=type=cache,target=/var/cache/x touch /mnt/t/x /var/cache/x/y\n")
case("run-mount-bind", "FROM busybox\nRUN --mount=target=/ctx cat /ctx/top.txt > /f && ls /ctx > /l\n", {"top.txt": "top"})
case("run-mount-bind-source", "FROM busybox\nRUN --mount=type=bind,source=src,target=/s find /s -type f | sort > /f\n", TREE)
case("run-mount-bind-file", "FROM busybox\nRUN --mount=source=top.txt,target=/t.txt cat /t.txt > /f\n", TREE)
case("run-mount-bind-read-only", "FROM busybox\nRUN --mount=target=/ctx ! touch /ctx/x\n", TREE)
case("run-mount-bind-rw", "FROM busybox\nRUN --mount=target=/ctx,rw touch /ctx/x && ls /ctx > /f\nRUN --mount=target=/ctx ls /ctx > /g\n", {"top.txt": "top"})
case("run-mount-from", "FROM busybox AS one\nRUN echo 1 > /one\nFROM busybox\nRUN --mount=from=one,target=/o cat /o/one > /f\n")
case("run-mount-from-source", "FROM busybox AS one\nRUN mkdir /d && echo 1 > /d/one\nFROM busybox\nRUN --mount=from=one,source=/d,target=/o ls /o > /f\n")
case("run-mount-relative", "FROM busybox\nWORKDIR /w\nRUN --mount=type=bind,source=top.txt,target=t.txt cat t.txt > /f\n", TREE)
case("run-mount-variable", "FROM busybox\nARG T=/there\nRUN --mount=type=tmpfs,target=$T touch $T/x && echo ok > /f\n")
case("run-mount-tmpfs-size", "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1048576 df -k /t | tail -n 1 | awk '{print $2}' > /f\n")
case("run-mount-cache", "FROM busybox\nRUN --mount=type=cache,id=tbl-1,target=/c echo 1 > /c/x\nRUN --mount=type=cache,id=tbl-1,target=/d cat /d/x > /f\n")
case("run-mount-cache-owner", "FROM busybox\nRUN --mount=type=cache,id=tbl-2,target=/c,uid=5,gid=6,mode=0700 stat -c '%u %g %a' /c > /f\n")
case("run-mount-cache-from", "FROM busybox AS one\nRUN mkdir /seed && echo s > /seed/s\nFROM busybox\nRUN --mount=type=cache,id=tbl-3,target=/c,from=one,source=/seed cat /c/s > /f\n")
case("run-mount-cache-read-only", "FROM busybox\nRUN --mount=type=cache,id=tbl-4,target=/c,ro ! touch /c/x\n")
case("run-mount-cache-sharing-bad", "FROM busybox\nRUN --mount=type=cache,target=/c,sharing=some true\n", error="sharing")
case("run-mount-secret", "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /f && stat -c '%u %g %a' /run/secrets/s >> /f\n", build={"secrets": ["s"]})
case("run-mount-secret-options", "FROM busybox\nRUN --mount=type=secret,id=s,target=/x/y,mode=0440,uid=3,gid=4 stat -c '%u %g %a' /x/y > /f\n", build={"secrets": ["s"]})
case("run-mount-secret-missing", "FROM busybox\nRUN --mount=type=secret,id=none ls /run/secrets > /f 2>&1 || echo no >> /f\n")
case("run-mount-secret-required", "FROM busybox\nRUN --mount=type=secret,id=none,required true\n", error="none")
case("run-mount-secret-env", "FROM busybox\nRUN --mount=type=secret,id=s,env=TOKEN echo $TOKEN > /f; ls /run/secrets >> /f 2>&1 || true\n",
     build={"secrets": ["s"]}, reference=True)
case("run-mount-ssh-required", "FROM busybox\nRUN --mount=type=ssh,required true\n", error="ssh")
case("run-mount-type-bad", "FROM busybox\nRUN --mount=type=disk,target=/x true\n", error="disk")
case("run-mount-key-bad", "FROM busybox\nRUN --mount=type=tmpfs,target=/x,sise=1 true\n", error="sise")
case("run-mount-no-target", "FROM busybox\nRUN --mount=type=cache true\n", error="target")
case("run-mount-missing-source", "FROM busybox\nRUN --mount=source=nothing,target=/x true\n", error="nothing")
case("run-heredoc", "FROM busybox\nRUN <<EOF\necho one > /f\necho $HOME two >> /f\nEOF\n")
case("run-heredoc-script", "FROM busybox\nRUN <<EOF\n#!/bin/sh\necho \"script $#\" > /f\nEOF\n")
case("run-heredoc-stdin", "FROM busybox\nARG A=1\nRUN cat <<EOF > /f\nvalue $A\nEOF\n")
case("run-heredoc-quoted", "FROM busybox\nARG A=1\nRUN cat <<'EOF' > /f\nvalue $A\nEOF\n")
case("run-heredoc-tabs", "FROM busybox\nRUN <<-EOF\n\techo x > /f\n\tEOF\n")
case("run-heredoc-two", "FROM busybox\nRUN cat <<A > /a && cat <<B > /b\nfirst\nA\nsecond\nB\n")
case("run-heredoc-shell", "FROM busybox\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN <<EOF\nfalse\ntrue\nEOF\n", error="exit code 1")
case("run-heredoc-interpreter", "FROM busybox\nRUN sh <<EOF\necho by sh > /f\nEOF\n")
case("run-heredoc-open", "FROM busybox\nRUN <<EOF\necho x\n", error="EOF")

# COPY
case("copy-file", "FROM busybox\nCOPY top.txt /x\n", TREE)
case("copy-file-into", "FROM busybox\nCOPY top.txt /x/y/\n", TREE)
case("copy-relative", "FROM busybox\nWORKDIR /w\nCOPY top.txt x\nCOPY top.txt .\nCOPY top.txt ./sub/\n", TREE)
case("copy-folder", "FROM busybox\nCOPY src /x\nCOPY src/ /y/\nCOPY src/sub .\n", TREE)
case("copy-all", "FROM busybox\nWORKDIR /all\nCOPY . .\n", TREE)
case("copy-several", "FROM busybox\nCOPY top.txt src/sub /x/\n", TREE)
case("copy-several-no-slash", "FROM busybox\nCOPY top.txt src/a.txt /x\n", TREE, error="/",
     ours="the reference wants the slash")
case("copy-wildcards", "FROM busybox\nCOPY src/*.txt /a/\nCOPY src/?.log /b/\nCOPY s*/s* /c/\nCOPY src/[ab].* /d/\n", TREE)
case("copy-wildcard-one", "FROM busybox\nCOPY top.* /x\n", TREE)
case("copy-wildcard-none", "FROM busybox\nCOPY no* /x/\nCOPY no* top.txt /y/\n", TREE)
case("copy-json", "FROM busybox\nCOPY [\"with space\", \"/to here/\"]\n", {"with space": "x"})
case("copy-escaped-bracket", "FROM busybox\nCOPY arr[[]0].txt /x/\n", {"arr[0].txt": "x"})
case("copy-missing", "FROM busybox\nCOPY nothing /x\n", error="nothing")
case("copy-outside", "FROM busybox\nCOPY ../top.txt /x\n", TREE)
case("copy-onto-folder", "FROM busybox\nCOPY top.txt /bin\n", TREE)
case("copy-link", "FROM busybox\nCOPY src/link /x\nCOPY src/link /d/\nCOPY src /e\n", TREE)
case("copy-dangling-link-in-folder", "FROM busybox\nCOPY d /d\n", {"d/l": link("/nowhere"), "d/m": link("../../out")})
case("copy-through-image-link", "FROM busybox\nRUN mkdir /real && ln -s real /sym\nCOPY top.txt /sym/\nCOPY src/sub /sym\n", TREE)
case("copy-merges", "FROM busybox\nRUN mkdir -m 700 -p /x/sub && echo old > /x/sub/c.txt && echo keep > /x/keep\nCOPY src /x\n", TREE)
case("copy-overwrites-file-mode", "FROM busybox\nRUN echo long-old > /f && chmod 600 /f && chown 9:9 /f\nCOPY top.txt /f\n", TREE)
case("copy-file-over-folder", "FROM busybox\nRUN mkdir -p /x/sub\nCOPY f /x/\n", {"f/sub": "file"}, error="x/sub")
case("copy-chown-names", "FROM busybox\nCOPY --chown=user:user top.txt /x/y/\nCOPY --chown=user src /s\n", TREE)
case("copy-chown-numbers", "FROM busybox\nCOPY --chown=55:mail top.txt /a\n", TREE, error="mail", ours="BuildKit takes group 0 for a name that is not there")
case("copy-chown-number", "FROM busybox\nCOPY --chown=1000 top.txt /a\nCOPY --chown=10:11 top.txt /b\nCOPY --chown=root:user top.txt /c\n", TREE)
case("copy-chown-variable", "FROM busybox\nARG O=12:13\nCOPY --chown=$O top.txt /a\n", TREE)
case("copy-chown-user-instruction", "FROM busybox\nUSER user\nCOPY top.txt /a\n", TREE)
case("copy-chmod", "FROM busybox\nCOPY --chmod=640 top.txt /a\nCOPY --chmod=0755 src /b\nCOPY --chmod=4711 --chown=1:2 top.txt /c\n", TREE)
case("copy-chmod-folder", "FROM busybox\nCOPY --chmod=700 src /b\nCOPY --chmod=600 src/sub /c/d/\nCOPY --chmod=711 src/sub /bin\n", TREE)
case("copy-chmod-symbolic", "FROM busybox\nCOPY --chmod=u=rwX,go=rX src /b\nCOPY --chmod=a+x,o-r top.txt /c\nCOPY --chmod=g=u src/run.sh /d\n", TREE, reference=True)
case("copy-chmod-variable", "FROM busybox\nARG M=600\nCOPY --chmod=$M top.txt /a\n", TREE, reference=True)
case("copy-chmod-bad", "FROM busybox\nCOPY --chmod=999 top.txt /a\n", TREE, error="999", ours="BuildKit leaves out a mode that is none")
case("copy-from-image", "FROM scratch\nCOPY --from=busybox /etc/passwd /etc/group /e/\n")
case("copy-from-keeps-owner", "FROM busybox AS one\nRUN mkdir -m 750 /d && echo x > /d/f && chown -R 5:6 /d && chmod 4755 /d/f\nFROM busybox\nCOPY --from=one /d /d\nCOPY --from=one /d/f /f\nCOPY --from=one --chown=8:9 /d /e\n")
case("copy-from-variable", "FROM busybox AS one\nFROM scratch\nARG S=one\nCOPY --from=$S /etc/passwd /\n", error="S")
case("copy-from-folder-root", "FROM busybox AS one\nRUN mkdir /t && cp /etc/passwd /t\nFROM scratch\nCOPY --from=one /t /\n")
case("copy-from-links", "FROM busybox AS one\nRUN mkdir -p /d/e && ln -s e /d/l && echo x > /d/e/f && ln /d/e/f /d/g\nFROM scratch\nCOPY --from=one /d /d\nCOPY --from=one /d/l /m\nCOPY --from=one /d/l/f /n\n")
case("copy-from-named-context", "FROM scratch\nCOPY --from=other top.txt /\n", {"o/top.txt": "other"}, build={"additional_contexts": {"other": "./o"}})
case("copy-from-missing", "FROM busybox\nCOPY --from=builder-test-nowhere/none a /\n", error="builder-test-nowhere/none")
case("copy-from-later-stage", "FROM busybox\nCOPY --from=later /x /\nFROM busybox AS later\n", build={"target": "0"}, error="later")
case("copy-link-flag", "FROM busybox\nCOPY --link top.txt /x/y/\nCOPY --link --chown=5:6 src /s\n", TREE)
case("copy-link-flag-false", "FROM busybox\nCOPY --link=false top.txt /x\n", TREE)
case("copy-link-replaces-link", "FROM busybox\nRUN mkdir /real && ln -s real /sym\nCOPY --link top.txt /sym/f\n", TREE, reference=True)
case("copy-link-flag-tmp", "FROM busybox\nCOPY --link top.txt /tmp/\nCOPY --link top.txt bin/\n", TREE)
case("copy-link-from", "FROM busybox AS one\nRUN echo x > /x && chown 5:6 /x\nFROM busybox\nCOPY --link --from=one /x /y/\n")
case("copy-parents", "FROM busybox\nCOPY --parents src/sub/c.txt src/a.txt /p/\nCOPY --parents src/sub /q/\n", TREE, reference=True)
case("copy-parents-pivot", "FROM busybox\nCOPY --parents ./src/./sub/c.txt /p/\nCOPY --parents src/./*.txt /q/\n", TREE, reference=True)
case("copy-parents-wildcards", "FROM busybox\nCOPY --parents src/*/c.txt /p/\nCOPY --parents src/**/*.txt /q/\n", TREE, reference=True)
case("copy-exclude", "FROM busybox\nCOPY --exclude=*.log src /x\nCOPY --exclude=sub --exclude=private src /y\n", TREE, reference=True)
case("copy-exclude-deep", "FROM busybox\nCOPY --exclude=**/*.txt src /x\nCOPY --exclude=*.txt src/*.txt src/*.sh /y/\n", TREE, reference=True)
case("copy-exclude-exception", "FROM busybox\nCOPY --exclude=*.txt --exclude=!a.txt src /x\n", TREE, reference=True)
case("copy-heredoc", "FROM busybox\nARG A=1\nCOPY <<EOF /x/f\nvalue $A\nEOF\nCOPY <<'EOF' /x/g\nvalue $A\nEOF\n")
case("copy-heredoc-options", "FROM busybox\nCOPY --chown=5:6 --chmod=0700 <<-EOF /f\n\tone\n\t\ttwo\n\tEOF\n")
case("copy-heredoc-two", "FROM busybox\nCOPY <<a.txt <<b.txt top.txt /x/\nfirst\na.txt\nsecond\nb.txt\n", TREE)
case("copy-heredoc-into-folder", "FROM busybox\nCOPY <<robots.txt /usr/share/\nDisallow\nrobots.txt\n")
case("copy-no-destination", "FROM busybox\nCOPY top.txt\n", TREE, error="destination")
case("copy-flag-unknown", "FROM busybox\nCOPY --archive top.txt /\n", TREE, error="--archive")
case("copy-flag-no-value", "FROM busybox\nCOPY --chown top.txt /\n", TREE, error="--chown")
case("copy-to-root", "FROM scratch\nCOPY src/private /\n", TREE)
case("copy-empty-folder", "FROM busybox\nCOPY e /x\nCOPY e /y/\n", {"e": folder(0o750)})
case("copy-special-names", "FROM busybox\nCOPY d /d\n", {"d/a b": "1", "d/ü": "2", "d/-x": "3", "d/#y": "4"})
case("copy-empty-file", "FROM busybox\nCOPY empty /empty\n", {"empty": ""})
case("copy-setuid", "FROM busybox\nCOPY s /s\n", {"s": file("x", 0o4755)})

# ADD
case("add-file", "FROM busybox\nADD top.txt /x/\nADD src /y\n", TREE)
case("add-tar", "FROM busybox\nADD in.tar /x\nADD in.tar.gz /y/\nADD in.tar.bz2 in.tar.gz /z/\n", TAR)
case("add-tar-xz", "FROM busybox\nADD in.tar.xz /x\n", TAR, reference=True)
case("add-tar-chown", "FROM busybox\nADD --chown=7:8 in.tar /x/\n", TAR)
case("add-tar-into-existing", "FROM busybox\nRUN mkdir -p /x/dir && echo old > /x/one && chmod 700 /x/dir\nADD in.tar /x\n", TAR)
case("add-not-a-tar", "FROM busybox\nADD text.tar.gz /x/\n", {"text.tar.gz": "no archive"})
case("add-unpack-false", "FROM busybox\nADD --unpack=false in.tar /x/\n", {"in.tar": archive("", **{"one": ("1", 0o640, 0, 0)})}, reference=True)
case("add-chmod", "FROM busybox\nADD --chmod=600 top.txt /x\n", TREE)
case("add-link", "FROM busybox\nADD --link in.tar /x/\n", TAR)
case("add-heredoc", "FROM busybox\nADD <<EOF /f\nhello\nEOF\n")
case("add-exclude", "FROM busybox\nADD --exclude=*.log src /x\n", TREE, reference=True)
case("add-wildcard", "FROM busybox\nADD *.tar /x/\n", TAR)
case("add-from-flag", "FROM busybox\nADD --from=busybox /etc/passwd /\n", error="--from")
case("add-checksum-of-file", "FROM busybox\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 top.txt /\n", TREE, error="checksum")

# .dockerignore
case("ignore", "FROM busybox\nCOPY . /x\n", {**TREE, ".dockerignore": "# comment\n**/*.log\nsrc/sub\n!src/sub/deep\nDockerfile*\n.dockerignore\n"})
case("ignore-patterns", "FROM busybox\nCOPY . /x\n", {"a/b/c.tmp": "1", "a/c.tmp": "2", "c.tmp": "3", "a/keep": "4", "temp1": "5", "temp12": "6", "README.md": "7", "README-x.md": "8",
     ".dockerignore": "*/*.tmp\ntemp?\n*.md\n!README*.md\nREADME-x.md\nDockerfile*\n.dockerignore\n"})
case("ignore-all-but", "FROM busybox\nCOPY . /x\n", {"a/b": "1", "a/c": "2", "d": "3", ".dockerignore": "*\n!a\na/c\n"})
case("ignore-slashes", "FROM busybox\nCOPY . /x\n", {"a/b": "1", "c/d": "2", "e": "3", ".dockerignore": "/a\n./c/\n  e  \nDockerfile*\n.dockerignore\n"})
case("ignore-own-file", "FROM busybox\nCOPY . /x\n", {"a": "1", "b": "2", ".dockerignore": "a\n", "Dockerfile.dockerignore": "b\nDockerfile*\n.dockerignore\n"})
case("ignore-hides-source", "FROM busybox\nCOPY a /x\n", {"a": "1", ".dockerignore": "a\n"}, error="a")
case("ignore-empty-folders", "FROM busybox\nCOPY . /x\n", {"a/b": "1", "a/e": folder(), ".dockerignore": "**/b\nDockerfile*\n.dockerignore\n"})

# The file's own syntax
case("escape-directive", "# escape=`\nFROM busybox\nENV A=1 `\n  B=2\nRUN echo a`\n b > /f\nENV P=C:\\x\n")
case("escape-bad", "# escape=x\nFROM busybox\n", error="escape")
case("directive-twice", "# escape=\\\n# escape=`\nFROM busybox\n", error="escape")
case("directive-after-comment", "# comment\n# escape=`\nFROM busybox\nENV A=1 \\\n B=2\n")
case("crlf", "FROM busybox\r\nENV A=1 \\\r\n  B=2\r\nRUN echo x > /f\r\n")
case("bom", "\ufeffFROM busybox\nLABEL a=1\n")
case("comment-indented", "FROM busybox\n   # comment\n  ENV A=1\nRUN echo '# no comment' > /f\n")
case("unknown-instruction", "FROM busybox\nCOPI a /b\n", error="did you mean COPY")
case("continuation-at-end", "FROM busybox\nENV A=1 \\\n")
case("syntax-directive", "# syntax=docker/dockerfile:1\nFROM busybox\nLABEL a=1\n", reference=True)
case("check-directive", "# check=skip=all\nFROM busybox\nLABEL a=1\n")

# build: keys
case("dockerfile-elsewhere", "FROM busybox\nLABEL wrong=1\n", {"x/other": "FROM busybox\nCOPY a /a\n", "a": "1"}, build={"dockerfile": "x/other"})
case("shm-size", "FROM busybox\nRUN df -k /dev/shm | tail -n 1 | awk '{print $2}' > /f\n", build={"shm_size": "1mb"}, reference=True)
case("extra-hosts", "FROM busybox\nRUN grep some.where /etc/hosts | awk '{print $1}' > /f\n", build={"extra_hosts": ["some.where=1.2.3.4"]})
case("ulimits", "FROM busybox\nRUN ulimit -n > /f\n", build={"ulimits": {"nofile": {"soft": 123, "hard": 456}}})
case("named-image-context", "FROM nowhere\nLABEL a=1\n", build={"additional_contexts": {"nowhere": "docker-image://busybox"}})
case("named-folder-as-stage", "FROM scratch\nCOPY --from=d f /\nFROM d\nLABEL a=1\n", {"o/f": "1"}, build={"additional_contexts": {"d": "./o"}})
