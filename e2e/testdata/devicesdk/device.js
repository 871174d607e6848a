// A device as AWS's SDK makes one. It is told what to do by one argument, an
// object of JSON:
//
//   ca, host, port   where the broker is, and the file by which to trust it
//   cert, key        files of the device's certificate and its key
//   client           its client ID, unless it provisions itself
//   template, parameters, csr, csrKey
//                    provision itself by this template first, from a claim
//                    certificate; with a certificate signing request and the
//                    key of that, or else with a key that is made for it
//   topic            publish there, in place of CLIENT its ID, and hear it
//
// It prints one object of JSON with what came of it, and ends with 0.
"use strict";

const fs = require("fs");
const { iot, iotidentity, mqtt, mqtt5 } = require("aws-iot-device-sdk-v2");

const timeout = 30_000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${timeout} ms`)), timeout);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// MQTT 3.1.1, as firmware speaks it.
async function connect(task, cert, key, client) {
  const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder(cert, key)
    .with_certificate_authority_from_path(undefined, task.ca)
    .with_endpoint(task.host)
    .with_port(task.port)
    .with_client_id(client)
    .with_clean_session(true)
    .build();
  const connection = new mqtt.MqttClient().new_connection(config);
  await within(connection.connect(), "connecting as " + client);
  return connection;
}

// MQTT 5, for the claim.
async function connect5(task, cert, key, client) {
  const config = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromMemory(task.host, cert, key)
    .withCertificateAuthorityFromPath(undefined, task.ca)
    .withPort(task.port)
    .withConnectProperties({ clientId: client, keepAliveIntervalSeconds: 60 })
    .build();
  const connection = new mqtt5.Mqtt5Client(config);
  const success = new Promise((resolve, reject) => {
    connection.once("connectionSuccess", resolve);
    connection.once("connectionFailure", (e) => reject(e.error));
  });
  connection.start();
  await within(success, "connecting as " + client);
  return connection;
}

async function provision(task) {
  const cert = fs.readFileSync(task.cert, "utf8");
  const key = fs.readFileSync(task.key, "utf8");
  const options = { maxRequestResponseSubscriptions: 6, maxStreamingSubscriptions: 1, operationTimeoutInSeconds: timeout / 1000 };
  let connection, identity;
  if (task.csr) {
    connection = await connect(task, cert, key, "sdk-claim-" + process.pid);
    identity = iotidentity.IotIdentityClientv2.newFromMqtt311(connection, options);
  } else {
    connection = await connect5(task, cert, key, "sdk-claim-" + process.pid);
    identity = iotidentity.IotIdentityClientv2.newFromMqtt5(connection, options);
  }
  const made = task.csr
    ? await identity.createCertificateFromCsr({ certificateSigningRequest: fs.readFileSync(task.csr, "utf8") })
    : await identity.createKeysAndCertificate({});
  const request = {
    templateName: task.template,
    certificateOwnershipToken: made.certificateOwnershipToken,
    parameters: task.parameters,
  };
  let refused;
  try {
    await identity.registerThing({ ...request, certificateOwnershipToken: "garbage" });
  } catch (error) {
    refused = error.modeledError;
  }
  const thing = await identity.registerThing(request);
  identity.close();
  if (task.csr) {
    await connection.disconnect();
  } else {
    connection.stop();
    connection.close();
  }
  return {
    cert: made.certificatePem,
    key: task.csr ? fs.readFileSync(task.csrKey, "utf8") : made.privateKey,
    told: { certificateId: made.certificateId, thingName: thing.thingName, deviceConfiguration: thing.deviceConfiguration, refused },
  };
}

async function converse(task, cert, key, client) {
  const connection = await connect(task, cert, key, client);
  const topic = task.topic.replace("CLIENT", client);
  let heard;
  const message = new Promise((resolve) => (heard = resolve));
  await within(
    connection.subscribe(topic, mqtt.QoS.AtLeastOnce, (_, payload) => heard(Buffer.from(payload).toString())),
    "subscribing",
  );
  await within(connection.publish(topic, "from " + client, mqtt.QoS.AtLeastOnce), "publishing");
  const text = await within(message, "hearing itself");
  await connection.disconnect();
  return text;
}

async function main() {
  const task = JSON.parse(process.argv[2]);
  if (!task.template) {
    const heard = await converse(task, fs.readFileSync(task.cert, "utf8"), fs.readFileSync(task.key, "utf8"), task.client);
    return { heard };
  }
  const got = await provision(task);
  const heard = await converse(task, got.cert, got.key, got.told.thingName);
  return { ...got.told, heard };
}

main().then(
  (told) => {
    console.log(JSON.stringify(told));
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
