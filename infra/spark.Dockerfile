# An image for Spark executors alone (infra/Dockerfile has all of tamis' parts). Build it from the repository's root:
#   docker build -f infra/spark.Dockerfile -t tamis-executor .
# On Kubernetes: tamis submit RECIPE --installed --master k8s://https://HOST:6443 --cluster --conf spark.kubernetes.container.image=tamis-executor
FROM python:3.11-slim-bookworm
ARG TORCH="torch==2.13.0"
# Java 17 is the oldest that Spark 4 runs on and what it is tested with most; tini reaps the Python workers of a killed executor
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless tini procps \
    && rm -rf /var/lib/apt/lists/* && useradd --create-home --uid 185 spark && install -d -o spark /opt/spark/work-dir
COPY infra/constraints.txt /opt/tamis/constraints.txt
# torch first and alone: its CPU build, unless the argument says otherwise, and in a layer that changes seldom
RUN pip install --no-cache-dir -c /opt/tamis/constraints.txt "$TORCH"
COPY . /opt/tamis/src
RUN pip install --no-cache-dir -c /opt/tamis/constraints.txt "/opt/tamis/src[spark,language,embed,text,tokens]" \
    && SPARK=$(python -c 'import pyspark, os; print(os.path.dirname(pyspark.__file__))') \
    && ln -s "$SPARK"/* /opt/spark/ && install -d /opt/spark/conf \
    && cp /opt/tamis/src/infra/spark-defaults.conf /opt/spark/conf/ && cp /opt/tamis/src/infra/spark-entrypoint.sh /opt/entrypoint.sh \
    && chmod 755 /opt/entrypoint.sh && cp /opt/tamis/src/recipes/demo.yaml /opt/tamis/demo.yaml && rm -rf /opt/tamis/src
ENV SPARK_HOME=/opt/spark SPARK_CONF_DIR=/opt/spark/conf PYSPARK_PYTHON=/usr/local/bin/python \
    NUMBA_CACHE_DIR=/opt/tamis/kernels DO_NOT_TRACK=1
# kernels are compiled when the image is made (numba keeps them by source), not once for each executor of each run
RUN install -d -m 1777 /opt/tamis/kernels && python -m tamis run demo --out /tmp/warm --set np=1 && rm -rf /tmp/warm && chmod -R a+rwX /opt/tamis/kernels
USER 185
WORKDIR /opt/spark/work-dir
ENTRYPOINT ["/opt/entrypoint.sh"]
