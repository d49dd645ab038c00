# SPDX-License-Identifier: BSD-2-Clause
"""Zabbix server, PostgreSQL and the frontend of Debian's packages, on loopback in a namespace, with all their files in one directory."""

import gzip
import itertools
import json
import os
import pathlib
import re
import shutil

from harness import Process, eventually

USER = "zabbix"
FRONTEND = "127.0.0.1:8000"
SHARE = pathlib.Path("/usr/share/zabbix-server-pgsql")
ADMIN = ("Admin", "zabbix")

SERVER = """
DBHost={directory}/run
DBName=zabbix
DBUser=zabbix
LogType=file
LogFile={directory}/zabbix_server.log
PidFile={directory}/run/zabbix_server.pid
SocketDir={directory}/run
ListenIP=127.0.0.1
StartPollers=3
StartPollersUnreachable=1
StartTrappers=1
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
CacheUpdateFrequency=1
StartSNMPTrapper=1
SNMPTrapperFile={directory}/traps
"""
PAGES = """<?php
$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '{directory}/run', 'PORT' => '0', 'DATABASE' => 'zabbix', 'USER' => 'zabbix',
    'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'KEY_FILE' => '', 'CERT_FILE' => '', 'CA_FILE' => '',
    'VERIFY_HOST' => false, 'CIPHER_LIST' => '', 'VAULT_URL' => '', 'VAULT_DB_PATH' => '', 'VAULT_TOKEN' => '', 'DOUBLE_IEEE754' => true];
$ZBX_SERVER = '127.0.0.1'; $ZBX_SERVER_PORT = '10051'; $ZBX_SERVER_NAME = 'portwatch'; $IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
"""
PHP = {"max_execution_time": 300, "max_input_time": 300, "memory_limit": "256M", "post_max_size": "16M", "date.timezone": "UTC",
       "error_reporting": "E_ALL & ~E_DEPRECATED", "display_errors": 0, "log_errors": 1}


# Of the data that Zabbix comes with, the rest is its templates, which take minutes to load.
TABLES = {"config", "expressions", "globalmacro", "graph_theme", "hstgrp", "media_type", "media_type_message", "media_type_param",
          "regexps", "role", "role_rule", "users", "users_groups", "usrgrp"}


def needed(text):
    """The statements that fill TABLES."""
    statements = re.split(r"^(?=INSERT INTO )", text, flags=re.M)
    return "".join(statement for statement in statements if (found := re.match(r"INSERT INTO (\w+)", statement)) and found[1] in TABLES)


class ApiError(AssertionError):
    """What the API answered instead of a result."""


class Zabbix:
    """The three of them, running. `traps` is the file that the server reads notifications from."""

    def __init__(self, ns, workshop, settings=""):
        """`settings`: lines of the server's configuration that are to be other ones."""
        self.settings = settings
        self.ns, self.workshop = ns, workshop
        workshop.directory.chmod(0o755)
        self.directory = workshop.directory / "zabbix"
        for part in (self.directory, self.directory / "run"):
            part.mkdir()
            shutil.chown(part, USER, USER)
        self.traps = self.directory / "traps"
        self.traps.touch()
        self.traps.chmod(0o666)
        self._numbers, self._token = itertools.count(1), None
        self._start_database()
        self._start_frontend()
        self._start_server()
        self._token = self.api("user.login", username=ADMIN[0], password=ADMIN[1])

    def _unprivileged(self, *argv):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--pdeathsig=KILL", "--", *argv]

    def _start(self, name, *argv, **options):
        return self.workshop.keep(Process(self.ns, self._unprivileged(*argv), self.directory / f"{name}.out", cwd=self.directory, **options))

    def _start_database(self):
        binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        data, run = self.directory / "data", self.directory / "run"
        self.ns.run(*self._unprivileged(binaries / "initdb", "-D", data, "-U", "zabbix", "-A", "trust", "-E", "UTF8", "--no-sync"),
                    cwd=self.directory)
        self.database = self._start("postgres", binaries / "postgres", "-D", data, "-k", run, "-c", "listen_addresses=", "-c", "fsync=off",
                    "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
        psql = ("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", run, "-U", "zabbix")
        eventually(lambda: self.ns.run("pg_isready", "-h", run, check=False).returncode == 0, 30)
        self.ns.run(*psql, "-d", "postgres", "-c", "create database zabbix")
        for name in ("schema", "data"):
            text = gzip.decompress((SHARE / f"{name}.sql.gz").read_bytes()).decode()
            file = self.directory / f"{name}.sql"
            file.write_text(text if name == "schema" else needed(text))
            self.ns.run(*psql, "--single-transaction", "-d", "zabbix", "-f", file, timeout=120)

    def _start_frontend(self):
        pages = self.directory / "pages"
        self.ns.run("cp", "-rL", "/usr/share/zabbix", pages)
        config, place = self.directory / "zabbix.conf.php", pages / "include" / "classes" / "core" / "CConfigFile.php"
        config.write_text(PAGES.replace("{directory}", str(self.directory)))
        place.write_text(place.read_text().replace("/etc/zabbix/zabbix.conf.php", str(config)))
        settings = [word for name, value in PHP.items() for word in ("-d", f"{name}={value}")]
        # the pages want a locale of their language, the API does not
        self.ns.run("localedef", "-i", "en_US", "-f", "UTF-8", self.directory / "en_US.UTF-8")
        self._start("php", "php", *settings, "-S", FRONTEND, "-t", pages, env={**os.environ, "LOCPATH": str(self.directory)})
        eventually(lambda: self.api("apiinfo.version"), 30)

    def _start_server(self):
        config = self.directory / "zabbix_server.conf"
        own = {line.partition("=")[0] for line in self.settings.splitlines()}
        config.write_text("\n".join([line for line in SERVER.format(directory=self.directory).splitlines() if line.partition("=")[0] not in own] +
                                    [self.settings]))
        self.server = self._start("server", "/usr/sbin/zabbix_server", "-f", "-c", config,
                                  env={**os.environ, "MIBS": "", "SNMPCONFPATH": "/nonexistent"})

    def api(self, method, **parameters):
        """The result of a call. Anything else than a result, a warning of PHP for instance, is an error."""
        # several objects at once are named by numbers
        several = parameters and all(name.isdigit() for name in parameters)
        call = {"jsonrpc": "2.0", "method": method, "params": list(parameters.values()) if several else parameters, "id": next(self._numbers)}
        if self._token is not None:
            call["auth"] = self._token
        request = self.directory / "request.json"
        request.write_text(json.dumps(call))
        answer = self.ns.run("curl", "--silent", "--show-error", "--header", "Content-Type: application/json-rpc", "--data-binary",
                             f"@{request}", f"http://{FRONTEND}/api_jsonrpc.php", check=False)
        try:
            result = json.loads(answer.stdout)
        except ValueError:
            raise ApiError(f"{method}: {answer.stdout} {answer.stderr}") from None
        if "error" in result:
            raise ApiError(f"{method}: {result['error']}")
        return result["result"]

    def complaints(self):
        """What PHP logged about the frontend's work."""
        return [line for line in (self.directory / "php.out").read_text().splitlines() if re.search(r"PHP (Warning|Notice|Deprecated|Fatal|Parse)", line)]

    def import_template(self, text):
        rules = {"templates": ("createMissing", "updateExisting"), "groups": ("createMissing",),
                 "templateDashboards": ("createMissing", "updateExisting", "deleteMissing"), "templateLinkage": ("createMissing",)}
        rules |= {part: ("createMissing", "updateExisting", "deleteMissing") for part in (
            "items", "discoveryRules", "triggers", "graphs", "valueMaps")}
        return self.api("configuration.import", format="yaml", source=text,
                        rules={part: {option: True for option in options} for part, options in rules.items()})

    def add_host(self, name, template, macros):
        """A host with an SNMP interface on this machine; returns its id."""
        group, = self.api("hostgroup.get", filter={"name": "Linux servers"})
        linked, = self.api("template.get", filter={"host": template})
        interface = {"type": 2, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": "161",
                     "details": {"version": 2, "bulk": 1, "community": "{$SNMP_COMMUNITY}"}}
        macros = {"{$SNMP_COMMUNITY}": "public", **macros}
        return self.api("host.create", host=name, interfaces=[interface], groups=[{"groupid": group["groupid"]}],
                        templates=[{"templateid": linked["templateid"]}],
                        macros=[{"macro": macro, "value": value} for macro, value in macros.items()])["hostids"][0]

    def items(self, host):
        """{key: item} with their last values."""
        found = self.api("item.get", hostids=host, output=["itemid", "key_", "name", "lastvalue", "lastclock", "state", "error", "units"])
        return {item["key_"]: item for item in found}

    def problems(self, host):
        """{name: severity} of the problems that are not resolved and not hidden by a worse one."""
        shown = self.api("trigger.get", hostids=host, only_true=True, skipDependent=True, filter={"value": 1}, expandDescription=True,
                         output=["description", "priority"])
        return {trigger["description"]: int(trigger["priority"]) for trigger in shown}
