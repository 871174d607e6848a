"""What the scripts share: clients of two accounts, openssl, and mosquitto."""

import os
import subprocess

import boto3

ROLE = "arn:aws:iam::123456789012:role/provisioning"
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
    '"Action":["iot:Connect","iot:Publish"],"Resource":"*"}]}'
)


def client(**keys):
    """AWS IoT at the server that muster env names; other keys by name."""
    return boto3.client("iot", endpoint_url=os.environ["AWS_ENDPOINT_URL"], **keys)


def other():
    """AWS IoT in the hands of the second account."""
    return client(
        aws_access_key_id=os.environ["OTHER_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["OTHER_SECRET_ACCESS_KEY"],
    )


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def authority(name):
    """Makes name.pem and name.key, which sign others."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + name,
            "-keyout", name + ".key", "-out", name + ".pem")
    return read(name + ".pem")


def issue(by, name):
    """Makes name.pem and name.key, signed by an authority."""
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name,
            "-keyout", name + ".key", "-out", name + ".csr")
    openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".pem", "-CAkey", by + ".key",
            "-CAcreateserial", "-days", "30", "-out", name + ".pem")
    return read(name + ".pem")


def publish(name):
    """Connects as a device and publishes; returns the exit code of mosquitto_pub."""
    host, port = os.environ["MUSTER_MQTT"].rsplit(":", 1)
    return subprocess.run(
        ["mosquitto_pub", "-h", host, "-p", port, "--cafile", os.environ["MUSTER_CA"], "--cert", name + ".pem",
         "--key", name + ".key", "-i", name, "-q", "1", "-t", "telemetry/" + name, "-m", "hello"],
        capture_output=True, timeout=60, check=False).returncode


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def refused(error, call, **members):
    """Demands that a call fails by an error of the client's own types."""
    try:
        call(**members)
    except error as told:
        return told.response
    raise AssertionError(f"{members} was not refused by {error.__name__}")
