# The page for a CPU server: docker build -t zigdemo . && docker run -p 7860:7860 zigdemo
FROM python:3.11-slim
RUN useradd --create-home zigdemo
WORKDIR /home/zigdemo/app
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt
COPY --chown=zigdemo app.py ./
COPY --chown=zigdemo zigdemo zigdemo
COPY --chown=zigdemo assets assets
COPY --chown=zigdemo weights weights
COPY --chown=zigdemo benchmarks/results benchmarks/results
USER zigdemo
ENV GRADIO_SERVER_NAME=0.0.0.0 PORT=7860
EXPOSE 7860
CMD ["python", "app.py"]
